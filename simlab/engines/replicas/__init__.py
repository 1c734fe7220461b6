"""The samplers' rooms: how replicas are marched, what a replica of each kind is, statistics over them."""

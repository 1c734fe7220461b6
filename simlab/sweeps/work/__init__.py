"""Cells computed: by threads or the workers of a cluster, from wherever a sweep was stopped to its end."""

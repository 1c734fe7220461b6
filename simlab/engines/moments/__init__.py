"""The exact engine's rooms: recursions of second moments, for diagonal problems and for data sets."""

"""What a sweep is, before any of it runs: axes, the grid that they span, its cells, what is kept of them."""

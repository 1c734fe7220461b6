"""What checks of several theorems draw, and what simlab says of it: regression, momentum, convex functions, valleys."""

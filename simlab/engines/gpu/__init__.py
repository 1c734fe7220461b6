"""What runs on a GPU: which device there is, how a launch is shaped, and the launchers of the kernels."""

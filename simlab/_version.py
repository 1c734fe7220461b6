"""The version of simlab: its one source, read by the package, the build and every stored trace."""

__version__ = "0.1.0"

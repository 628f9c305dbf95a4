"""The version, which files tell of."""

__version__ = "0.1.0"

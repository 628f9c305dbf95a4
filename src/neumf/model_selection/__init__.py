"""The splitters."""

"""Scores to lists: top-k and similar items."""

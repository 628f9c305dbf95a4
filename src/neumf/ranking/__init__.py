"""Turn scores into lists: the k best items, similar items and similar users."""

"""Turn tables into arrays: columns, ids, times, histories, seen and unseen items."""

"""From a table to arrays: columns, ids, time, histories, seen items, split, sampling."""

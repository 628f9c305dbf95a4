"""`evaluate`, `compare` and the scorers: held-out rows, candidates, ranked lists."""

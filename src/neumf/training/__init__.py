"""From rows to weights: batches, the compiled program, the loop over epochs."""

"""From rows to weights.

Read the files in this order:

1. `batches`: rows become batches, filled with negatives. `centres` has what the penalty pulls
   vectors towards.
2. `losses`, `optimizers` and `dropout`: the formulas of a training step.
3. `variables`: weights and Adam's moments in TensorFlow's memory. `embedding_tables`: how a step
   reads and updates their rows.
4. `step`: from one batch to gradients and new weights.
5. `program`: the compiled function that takes one step per batch.
6. `trainer`: one epoch.
7. `loop`: all epochs, with validation, early stopping and interruption.

`runtime` imports TensorFlow.
"""

"""Train weights on rows.

Read the files in this order:

1. `batches`: cuts rows into batches and draws negatives.
2. `losses`, `optimizers`, `dropout` and `centres`: the formulas of a training step. `cold_biases`
   predicts the biases of items without rows.
3. `variables` and `embedding_tables`: weights and Adam's moments in TensorFlow's memory.
4. `step`: the gradients and new weights of one batch.
5. `program`: the compiled function that takes one step per batch.
6. `trainer`: one epoch.
7. `loop`: all epochs, with validation, early stopping and interruption.
"""

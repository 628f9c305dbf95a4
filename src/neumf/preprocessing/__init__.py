"""The transformers: ids to indices, negatives."""

"""Transform tables of interactions: encode ids as indices, and draw negatives."""

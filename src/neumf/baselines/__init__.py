"""Recommenders that a network has to beat: a file each."""

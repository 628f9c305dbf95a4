"""Tools that all sub-packages use: arrays, random numbers, threads, checks."""

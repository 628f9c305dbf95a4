"""Small tools that every room uses: arrays, random numbers, threads, checks."""

"""Weights: which file or checkpoint a model means, what is in it, the memory it takes, and quantizing it."""

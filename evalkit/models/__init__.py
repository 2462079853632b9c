"""Which weights a model config means, and how they get onto this machine."""

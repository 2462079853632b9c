"""Proofs of the figures that README states. Not part of the wheel: run them in a checkout."""

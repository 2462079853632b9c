"""Evaluated examples that a model may have been trained on."""

"""Statistics: pure functions of score tables."""

"""A family of models as one unit: run every member, measure what it costs, compare it with the reference."""

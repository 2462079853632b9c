"""A family of models as one unit: run every member, measure what it costs, compare with the reference."""

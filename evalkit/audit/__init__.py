"""Published tables checked against themselves, and measured scores against published ones."""

"""From examples to a run's record: order, generation, the folder, scoring, Ray."""

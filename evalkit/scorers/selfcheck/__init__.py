"""The scoring measured: against hand labels, against hostile outputs, and in outputs per second."""

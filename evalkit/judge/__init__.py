"""A language model as judge, and how wrong it is: prompts, verdicts, canaries, calibration, labels."""

"""An LLM as judge, and how wrong it is: prompts, verdicts, canaries, calibration."""

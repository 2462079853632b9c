"""Do the intervals of judged scores hold the truth? Judges whose errors are known, by simulation."""

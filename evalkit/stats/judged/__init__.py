"""Scores given by a judge that errs: its agreement with labels, corrected scores, and their intervals."""

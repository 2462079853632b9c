"""Run records as pandas DataFrames: `evalkit.load_runs()` and what the notebook asks of it.

pandas is imported on top here, unlike elsewhere: no command imports this package.
"""

from evalkit.frames.accuracy import accuracy, average
from evalkit.frames.flips import flips
from evalkit.frames.reading import Reading, read
from evalkit.frames.runs import Runs, load_runs

__all__ = ["Reading", "Runs", "accuracy", "average", "flips", "load_runs", "read"]

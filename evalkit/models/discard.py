"""Giving the disk space of a downloaded or built file back."""

from __future__ import annotations

from pathlib import Path


def discard(path: Path) -> int:
    """Remove a cached file; returns the bytes freed, 0 if it is not there.

    The Hugging Face cache links a name to a file elsewhere: both go, or the link would look like a broken
    download.
    """
    try:
        size = path.stat().st_size
    except OSError:
        return 0
    target = path.resolve()
    path.unlink(missing_ok=True)
    target.unlink(missing_ok=True)
    return size

"""evalkit's version, for records and for workers that must have the same one."""

from __future__ import annotations

__version__ = "0.1.0"

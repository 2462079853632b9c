"""Where downloads are kept, and how a file gets there whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from evalkit.errors import UserError

_RESERVE = 64 << 20  # left free on the disk, so that a download does not fill it to the last byte


def require_space(needed: int | None, folder: Path, what: str, variable: str) -> None:
    """Refuse a download that does not fit, before it starts.

    Args:
        needed: bytes that will be written; None if unknown, then nothing is checked.
        folder: where they will be written; it need not exist yet.
        what: what is downloaded, for the message.
        variable: the environment variable that moves the folder.

    Raises:
        UserError: fewer than `needed` bytes are free there.
    """
    if not needed:
        return
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < needed + _RESERVE:
        raise UserError(
            f"Not enough disk for {what}: it needs {human(needed)}, {folder} has {human(free)} free; "
            f"free some, or set {variable} to a folder on a bigger disk."
        )


def install(target: Path, write: Callable[[Path], None]) -> Path:
    """Return `target`, made by `write` if it is not there yet.

    `write` fills a temporary file beside it, which takes its name only when complete. Of several
    processes that want the same file, one writes and the others wait for it.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    if target.is_file():
        return target
    from filelock import FileLock

    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not target.is_file():
                try:
                    write(part)
                    part.replace(target)
                finally:
                    part.unlink(missing_ok=True)
    except OSError as error:
        where = f"{target.parent}: {error.strerror or one_line(error)}"
        raise UserError(f"Cannot write to {where}; set EVALKIT_CACHE to a folder with room.") from error
    return target


def human(size: int) -> str:
    """A number of bytes as people read it: `15.2 GB`, `98 MB`, `3 kB`."""
    if size >= 10**9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 10**6 else f"{size / 1e3:.0f} kB"


def one_line(error: BaseException) -> str:
    """An error's text, short and on one line, for the inside of a UserError."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."

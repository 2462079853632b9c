"""What was computed, on disk: a file per GGUF file, to which every answer is appended once.

A message of `evalkit.children.arrays` per answer, its name first. What a kill leaves behind is a last message
without its end: it never counted, and is cut off when the file is opened again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from evalkit.children.arrays import Broken, Content, read, write
from evalkit.files import read_json, write_atomically
from evalkit.run.info import Run
from evalkit.schema import UserError

if TYPE_CHECKING:
    from typing import BinaryIO

SUFFIX = ".answers"
_IDENTITY = "plan.json"


def claimed(out: Path, run: Run, identity: Mapping[str, object]) -> Path:
    """The folder below `out` for what is computed of a run, made if need be.

    Args:
        identity: whatever decides the figures beside an answer's tokens; a hash of it is part of the name.
    """
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    name = re.sub(r"[^\w.-]", "_", f"{run.info.model.name}-{run.info.run_id}")[:150]
    folder = out / f"{name}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    if read_json(folder / _IDENTITY) != identity:
        write_atomically(folder / _IDENTITY, json.dumps(identity, indent=2) + "\n")
    return folder


def file_name(path: Path, digest: str) -> str:
    """What a GGUF file is called in such a folder."""
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', path.stem)[:100]}-{digest[:8]}"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder. Raises UserError if one is in it."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(f"{folder}: another process is measuring this: wait for it or end it") from error
    try:
        yield
    finally:
        lock.release()


class Store:
    """Answers by their keys; they stay on disk until they are asked for.

    Raises:
        UserError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, int] = {}
        try:
            self._file: BinaryIO = path.open("ab")
            self._scan()
        except OSError as error:
            raise UserError(f"{path} cannot be used: {error.strerror or error}") from error

    def _scan(self) -> None:
        end = 0
        with self._path.open("rb") as file:
            try:
                while (content := read(file)) is not None:
                    self._places[str(content.head.get("key"))] = end
                    end = file.tell()
            except Broken:
                pass
        if end < self._path.stat().st_size:
            os.truncate(self._path, end)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def get(self, key: str) -> Content:
        """What was appended under `key`.

        Raises:
            KeyError: nothing was.
            UserError: the file was changed since it was opened.
        """
        with self._path.open("rb") as file:
            file.seek(self._places[key])
            try:
                content = read(file)
            except Broken as error:
                raise UserError(f"{self._path} changed while it was in use ({error}): remove it") from error
        assert content is not None
        return content

    def append(self, key: str, content: Content) -> None:
        """Keep an answer; it is on disk when this returns."""
        place = os.fstat(self._file.fileno()).st_size
        write(self._file, Content({"key": key, **content.head}, content.arrays))
        os.fsync(self._file.fileno())
        self._places[key] = place

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

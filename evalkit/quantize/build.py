"""One file of a ladder: built if it is not there yet, whole or not at all, with a record of how."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import UserError
from evalkit.gguf.header import GGUFHeader, read_header
from evalkit.models.cache import one_line, require_space
from evalkit.models.digest import hash_file, remember, sha256_of
from evalkit.quantize.ladder import Recipe
from evalkit.quantize.quantizer import Job, QuantizeFailed, find_quantizer, run
from evalkit.quantize.record import FILE, Built, read_records, write_record
from evalkit.quantize.tensors import (
    contradiction,
    estimate_bytes,
    fallback_reason,
    fallbacks,
    quantized_from,
)

__all__ = ["Built", "QuantizeFailed", "Source", "build", "open_source"]


@dataclass(frozen=True, slots=True)
class Source:
    """A file to build from. `requantized_from`: its main quantized tensor type, None in full precision."""

    header: GGUFHeader
    sha256: str
    requantized_from: str | None
    imatrix: Path | None
    imatrix_sha256: str | None


def open_source(path: Path, allow_requantize: bool, imatrix: Path | None = None) -> Source:
    """Check what a ladder is to be built from.

    Raises:
        UserError: not a GGUF file, one part of a split model, or quantized without `allow_requantize`.
    """
    header = read_header(path)
    parts = header.count("split.count") or 1
    if parts > 1:
        raise UserError(
            f"{path.name} is one of {parts} parts: merge them first with llama-gguf-split --merge"
        )
    quantized = quantized_from(header)
    if quantized and not allow_requantize:
        raise UserError(
            f"{path.name} is already quantized ({quantized}), a second time loses more: "
            "give a source in F32, F16 or BF16, or allow_requantize=true"
        )
    if imatrix:
        read_header(imatrix)
    return Source(header, sha256_of(path), quantized, imatrix, sha256_of(imatrix) if imatrix else None)


def build(
    source: Path,
    out_dir: Path,
    recipe: Recipe,
    *,
    prefix: str,
    allow_requantize: bool,
    quantizer: str | None = None,
    imatrix: Path | None = None,
) -> Built:
    """The file `<prefix>-<recipe>.gguf` in `out_dir`, made from `source` unless it is there as recorded.

    A file that is there is kept whichever quantizer made it; its record says which.

    Args:
        quantizer: `library`, or a `llama-quantize` binary; None: what is installed.
        imatrix: an importance matrix in llama.cpp's GGUF format.

    Raises:
        UserError: a wrong source, folder or quantizer, a file in the way, not enough disk, or a mix that
            needs an importance matrix.
        QuantizeFailed: the quantizer failed, or what it made is not what was asked for.
    """
    given = open_source(source, allow_requantize, imatrix)
    target = out_dir / f"{prefix}-{recipe.name}.gguf"
    with _locked(out_dir):
        known = read_records(out_dir).get(target.name)
        if known and _still_good(known, given, recipe):
            return known
        if target.exists() and target.samefile(source):
            raise UserError(f"{target} is the source itself: give another OUT_DIR")
        if target.exists() and not known:
            raise UserError(
                f"{target} is not in {FILE}, so evalkit did not build it: move it, or give another OUT_DIR"
            )
        binary = find_quantizer(quantizer)
        require_space(estimate_bytes(given.header, recipe), out_dir, target.name, "OUT_DIR")
        return _build(given, recipe, target, binary)


def _still_good(known: Built, given: Source, recipe: Recipe) -> bool:
    made_from = (known.recipe, known.source_sha256, known.imatrix_sha256)
    if made_from != (recipe, given.sha256, given.imatrix_sha256) or not known.path.is_file():
        return False
    return known.path.stat().st_size == known.size_bytes and sha256_of(known.path) == known.sha256


def _build(given: Source, recipe: Recipe, target: Path, binary: str | None) -> Built:
    part, log = (target.with_name(target.name + suffix) for suffix in (".part", ".log"))
    try:
        started = time.monotonic()
        identity = run(binary, _job(given, recipe, part), log)
        seconds = time.monotonic() - started
        made = _checked(part, given, recipe, log)
        odd = fallbacks(made, recipe)
        built = Built(
            path=target,
            recipe=recipe,
            sha256=hash_file(part),
            size_bytes=made.file_size,
            source=given.header.path.name,
            source_sha256=given.sha256,
            requantized_from=given.requantized_from,
            imatrix_sha256=given.imatrix_sha256,
            quantizer=identity,
            fallbacks=odd,
            fallback_reason=fallback_reason(recipe) if odd else None,
            seconds=round(seconds, 3),
        )
        # The record comes first: a file without one is taken for somebody else's and never written over.
        write_record(target.parent, built)
        part.replace(target)
    except OSError as error:
        raise UserError(f"cannot write to {target.parent}: {error.strerror or one_line(error)}") from error
    finally:
        part.unlink(missing_ok=True)
    remember(target, built.sha256)
    log.unlink(missing_ok=True)
    return built


def _job(given: Source, recipe: Recipe, part: Path) -> Job:
    import psutil

    return Job(
        source=str(given.header.path.absolute()),
        target=str(part.absolute()),
        mix=recipe.mix_name,
        embeddings=recipe.embeddings,
        output=recipe.output,
        pure=recipe.pure,
        allow_requantize=given.requantized_from is not None,
        imatrix=str(given.imatrix.absolute()) if given.imatrix else None,
        threads=psutil.cpu_count(logical=False) or 1,
    )


def _checked(part: Path, given: Source, recipe: Recipe, log: Path) -> GGUFHeader:
    """The header of a file that the quantizer says is done."""
    try:
        made = read_header(part)
    except UserError as error:
        raise QuantizeFailed(f"the quantizer left no complete file: {error} (log: {log})") from error
    wrong = contradiction(made, given.header, recipe)
    if wrong:
        raise QuantizeFailed(f"the quantizer's file is not what was asked for: {wrong} (log: {log})")
    return made


@contextlib.contextmanager
def _locked(out_dir: Path) -> Iterator[None]:
    """Make the folder and keep other builders out of it: they wait, and then find what was built."""
    from filelock import FileLock

    lock = FileLock(out_dir / "ladder.lock")
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except FileExistsError as error:
        raise UserError(f"{out_dir} is a file: give a folder to build into") from error
    except OSError as error:
        raise UserError(f"cannot write to {out_dir}: {error.strerror or one_line(error)}") from error
    try:
        yield
    finally:
        lock.release()

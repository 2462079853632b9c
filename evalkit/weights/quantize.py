"""A ladder of GGUF files from one source file, through llama.cpp's own quantizer.

A recipe says what each tensor of a file is to be. Its file is built if it is not there yet, whole or not at
all, checked against the recipe, and written down in the folder's ladder.json with how it was made. Before it
is built, its size is estimated from the source's tensor table.

The quantizer is the library of llama-cpp-python or a `llama-quantize` binary, as a child process, because
llama.cpp ends its process where it finds a tensor it cannot handle (GGML_ASSERT).
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from evalkit.files import hash_file, install_extra, remember, require_space, sha256_of
from evalkit.schema import UserError, nearest
from evalkit.spawn import child_command, child_environment, usable_cores
from evalkit.text import first_fault, one_line
from evalkit.weights.gguf import GGUFHeader, TensorInfo, read_header
from evalkit.weights.recipe import (
    ALIASES,
    EMBEDDING,
    MIXES,
    OUTPUT,
    TENSOR_TYPES,
    Mix,
    block,
    is_quantized,
)

__all__ = ["LadderFile", "QuantizeFailed", "Source", "build", "open_source"]


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
) -> LadderFile:
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
        _check_rows(given.header, recipe)
        require_space(estimate_bytes(given.header, recipe), out_dir, target.name, "OUT_DIR")
        return _build(given, recipe, target, binary)


def _check_rows(source: GGUFHeader, recipe: Recipe) -> None:
    """See that rows fit the types that the recipe names.

    For those llama.cpp falls back to no other type: it writes past its buffer, and may say so or be ended.

    Raises:
        QuantizeFailed: they do not.
    """
    for tensor in source.tensors:
        asked, row = recipe.asked(tensor.name), tensor.shape[0] if tensor.shape else 1
        if asked and row % block(asked)[0]:
            raise QuantizeFailed(
                f"{tensor.name} cannot be {asked}: its rows of {row} weights are not in blocks of "
                f"{block(asked)[0]}; leave that out of recipe {recipe.name}"
            )


def _still_good(known: LadderFile, given: Source, recipe: Recipe) -> bool:
    made_from = (known.recipe, known.source_sha256, known.imatrix_sha256)
    if made_from != (recipe, given.sha256, given.imatrix_sha256) or not known.path.is_file():
        return False
    return known.path.stat().st_size == known.size_bytes and sha256_of(known.path) == known.sha256


def _build(given: Source, recipe: Recipe, target: Path, binary: str | None) -> LadderFile:
    part, log = (target.with_name(target.name + suffix) for suffix in (".part", ".log"))
    try:
        started = time.monotonic()
        identity = run(binary, _job(given, recipe, part), log)
        seconds = time.monotonic() - started
        made = _checked(part, given, recipe, log)
        odd = fallbacks(made, recipe)
        built = LadderFile(
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
    return Job(
        source=str(given.header.path.absolute()),
        target=str(part.absolute()),
        mix=recipe.mix_name,
        embeddings=recipe.embeddings,
        output=recipe.output,
        pure=recipe.pure,
        allow_requantize=given.requantized_from is not None,
        imatrix=str(given.imatrix.absolute()) if given.imatrix else None,
        threads=usable_cores(),
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


_KEYS = ("type", "embeddings", "output", "pure")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One file of a ladder.

    `type` is a mix that llama.cpp's quantizer knows (`Q4_K` is its alias of `Q4_K_M`). `embeddings` and
    `output` are the types of those two tensors, None: as the mix has it. `pure`: every tensor in the mix's
    main type.
    """

    name: str
    type: str
    embeddings: str | None
    output: str | None
    pure: bool

    @property
    def mix_name(self) -> str:
        """`type` with its alias resolved."""
        return ALIASES.get(self.type, self.type)

    @property
    def mix(self) -> Mix:
        """The mix that `type` stands for."""
        return MIXES[self.mix_name]

    def asked(self, tensor: str) -> str | None:
        """The type that the recipe names for this very tensor, None if the mix decides."""
        return {EMBEDDING: self.embeddings, OUTPUT: self.output}.get(tensor)


def recipes(ladder: Mapping[str, Any]) -> dict[str, Recipe]:
    """The recipes of a composed ladder config, by name, in its order.

    Raises:
        UserError: no recipes, an unknown key, an unknown type, a name that is no file name.
    """
    name = str(ladder.get("name") or "ladder")
    given = ladder.get("recipes")
    if not isinstance(given, Mapping) or not given:
        raise UserError(f"{name} has no recipes: give ladder.recipes as a mapping of names to {{type: ...}}")
    return {str(key): _recipe(str(key), value) for key, value in given.items()}


def chosen(known: Mapping[str, Recipe], names: Sequence[str]) -> list[Recipe]:
    """The recipes of these names, each once, in the order asked for.

    Raises:
        UserError: an unknown name, or none at all.
    """
    if not names:
        raise UserError(f"no recipe given. Known: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise UserError(f"no recipe '{name}'.{nearest(name, known)} Known: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def _recipe(name: str, given: object) -> Recipe:
    if not _NAME.fullmatch(name):
        raise UserError(
            f"recipe {name[:80]!r}: use letters, digits, '.', '_' and '-', it is part of a file name"
        )
    if not isinstance(given, Mapping):
        raise UserError(f"recipe {name}: write {{type: Q4_K_M}}, with embeddings, output and pure if need be")
    unknown = [str(key) for key in given if key not in _KEYS]
    if unknown:
        raise UserError(f"recipe {name}: no such key {unknown[0][:80]!r}.{nearest(unknown[0], _KEYS)}")
    pure = given.get("pure", False)
    if not isinstance(pure, bool):
        raise UserError(f"recipe {name}: pure={pure}: write true or false")
    return Recipe(
        name=name,
        type=_known(name, "type", given.get("type"), [*MIXES, *ALIASES]),
        embeddings=_tensor_type(name, "embeddings", given.get("embeddings")),
        output=_tensor_type(name, "output", given.get("output")),
        pure=pure,
    )


def _tensor_type(recipe: str, key: str, value: object) -> str | None:
    return None if value is None else _known(recipe, key, value, TENSOR_TYPES)


def _known(recipe: str, key: str, value: object, known: Sequence[str]) -> str:
    name = str(value).upper()
    if name not in known:
        hint = f"{nearest(name, known)} Known: {', '.join(sorted(known))}"
        raise UserError(f"recipe {recipe}: no {key} {str(value)[:80]!r}.{hint}")
    return name


_LOG_TAIL = 1 << 20  # bytes of a log that are searched for the reason of a failure
_WHY = "failed to quantize:"
_TELLING = ("GGML_ASSERT", _WHY, "error", "ERROR")
_DISK = ("basic_ios::clear: iostream error", "it cannot write its file; is the disk full?")


class QuantizeFailed(Exception):
    """A file could not be made, in one line; nothing of it is left but its log."""


@dataclass(frozen=True, slots=True)
class Job:
    """One call of the quantizer. `mix` and tensor types are llama.cpp's names, paths are absolute."""

    source: str
    target: str
    mix: str
    embeddings: str | None
    output: str | None
    pure: bool
    allow_requantize: bool
    imatrix: str | None
    threads: int


def find_quantizer(given: str | None) -> str | None:
    """The `llama-quantize` binary to use; None: the library.

    Args:
        given: `library`, a binary's path or name, or None for the library and else a binary on PATH.

    Raises:
        UserError: it is not there.
    """
    library = importlib.util.find_spec("llama_cpp") is not None
    if given in (None, "library") and library:
        return None
    binary = shutil.which("llama-quantize" if given is None else given) if given != "library" else None
    if binary:
        return str(Path(binary).absolute())
    if given in (None, "library"):
        raise UserError(
            f"no quantizer is installed: {install_extra('quantize')}, "
            "or give quantizer=PATH to llama-quantize"
        )
    raise UserError(
        f"quantizer: no executable '{given}'; give the path of llama-quantize, or quantizer=library"
    )


def command(binary: str | None, job: Job) -> list[str]:
    """The child's command line."""
    if binary is None:
        return child_command("evalkit.children.quantize", json.dumps(asdict(job)))
    return [
        binary,
        *(["--allow-requantize"] if job.allow_requantize else []),
        *(["--pure"] if job.pure else []),
        *(["--imatrix", job.imatrix] if job.imatrix else []),
        *(["--output-tensor-type", job.output.lower()] if job.output else []),
        *(["--token-embedding-type", job.embeddings.lower()] if job.embeddings else []),
        *(job.source, job.target, job.mix, str(job.threads)),
    ]


def run(binary: str | None, job: Job, log: Path) -> str:
    """Quantize in a child that dies with us, its output in `log`; returns the quantizer's name and version.

    Raises:
        UserError: the mix needs an importance matrix for this model and none was given.
        QuantizeFailed: the quantizer failed or crashed.
    """
    words = child_command("evalkit.children.watchdog", *command(binary, job))
    with log.open("wb") as output:
        # A Ctrl-C in the terminal is for us alone, and the watchdog ends its child when we go.
        child = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=child_environment(),
            start_new_session=True,
        )
        try:
            code = child.wait()
        except BaseException:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        finally:
            assert child.stdin is not None
            child.stdin.close()
    text = _tail(log)
    if code == 0:
        return _identity(binary, text)
    reason = _reason(text)
    if not job.imatrix and any(sign in reason for sign in ("imatrix", "importance matrix")):
        raise UserError(
            f"{job.mix} needs an importance matrix for this model: give imatrix=FILE, or leave the recipe out"
        )
    raise QuantizeFailed(f"llama.cpp's quantizer {_ending(code)}: {reason} (log: {log})")


def _identity(binary: str | None, text: str) -> str:
    if binary is None:
        return f"llama-cpp-python {importlib.metadata.version('llama-cpp-python')}"
    # llama-quantize has no --version; at work it says "main: build = 9 (abc)" or "version: 1.2 (build 9, …)".
    line = next((line for line in text.splitlines() if "build" in line and "built" not in line), "")
    build = line.partition(":")[2].strip()[:100] or "of an unknown build"
    return f"{Path(binary).name} {build}"


def _ending(code: int) -> str:
    """How the watchdog's child ended: it passes a signal on as 256 minus its number."""
    number = 256 - code if code > 192 else -code if code < 0 else 0
    with suppress(ValueError):
        if number:
            return f"was ended by {signal.Signals(number).name}"
    return f"failed with exit code {code}"


def _tail(log: Path) -> str:
    with log.open("rb") as handle:
        handle.seek(max(0, log.stat().st_size - _LOG_TAIL))
        return handle.read().decode(errors="replace")


def _reason(text: str) -> str:
    """The most telling line of a log, by the order of `_TELLING`, or else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for sign in _TELLING:
        telling = [line for line in lines if sign in line]
        if telling and sign == _WHY:
            return telling[-1].partition(_WHY)[2].strip()[:300].replace(*_DISK)
        if telling:
            return telling[-1][-300:]
    return lines[-1][-300:] if lines else "it said nothing"


FILE = "ladder.json"


def fallbacks(made: GGUFHeader, recipe: Recipe) -> dict[str, int]:
    """Tensors that could not have the mix's type because of their row length, counted by the type they got.

    llama.cpp falls back when rows are not a multiple of the block: Q4_K to Q5_0, Q6_K to Q8_0, IQ3_S to
    IQ4_NL, and so on (`tensor_type_fallback` in src/llama-quant.cpp). Tensors left in F32 were not quantized.
    """
    weights = block(recipe.mix.tensor)[0]
    found = Counter(
        tensor.type
        for tensor in made.tensors
        if len(tensor.shape) > 1
        and tensor.shape[0] % weights
        and tensor.type != "F32"
        and recipe.asked(tensor.name) is None
    )
    return dict(sorted(found.items()))


def fallback_reason(recipe: Recipe) -> str:
    """Why tensors of `fallbacks` are not in the mix's type, in words."""
    weights = block(recipe.mix.tensor)[0]
    return f"their rows are not a multiple of {weights} weights, as {recipe.mix.tensor} needs"


@dataclass(frozen=True, slots=True)
class LadderFile:
    """One file of a ladder.

    `requantized_from`: the main tensor type of an already quantized source, None for one in full precision.
    `quantizer`: program and version. `fallbacks`: how many tensors, by the type they got, could not have the
    recipe's type, and `fallback_reason` says why. `seconds` is what quantizing took, hashing excluded.
    """

    path: Path
    recipe: Recipe
    sha256: str
    size_bytes: int
    source: str
    source_sha256: str
    requantized_from: str | None
    imatrix_sha256: str | None
    quantizer: str
    fallbacks: dict[str, int] = field(default_factory=dict)
    fallback_reason: str | None = None
    seconds: float = 0.0


def read_records(folder: Path) -> dict[str, LadderFile]:
    """What ladder.json says of the files in `folder`, by file name; nothing if there is no ladder.json.

    Raises:
        UserError: it cannot be read, or something else wrote it.
    """
    from pydantic import TypeAdapter, ValidationError

    file = folder / FILE
    try:
        found = TypeAdapter(list[LadderFile]).validate_json(file.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise UserError(
            f"{file} is not a ladder's record ({first_fault(error)}): move it away and build into an empty "
            "folder"
        ) from error
    # The names are only looked up, never followed: the path is always that of a file in this folder.
    return {built.path.name: replace(built, path=folder / built.path.name) for built in found}


def write_record(folder: Path, built: LadderFile) -> None:
    """Add or replace one file's record; ladder.json is whole at every moment."""
    from pydantic import TypeAdapter

    records = {**read_records(folder), built.path.name: built}
    rows = [replace(record, path=Path(name)) for name, record in sorted(records.items())]
    part = folder / f"{FILE}.part"
    part.write_bytes(TypeAdapter(list[LadderFile]).dump_json(rows, indent=2) + b"\n")
    part.replace(folder / FILE)


_MARGIN = 1.03  # mixes were measured on one model, others differ a little
_WIDEST_FALLBACK = 8.5  # bits per weight of Q8_0, the widest common type that llama.cpp falls back to
_MIXES_OUTPUT = 6.5625  # of Q6_K, which most mixes use for the output, also where the embeddings serve as one


def quantized_from(source: GGUFHeader) -> str | None:
    """The quantized type with the most bytes in a source; None if every tensor has full precision."""
    sizes: Counter[str] = Counter()
    for tensor in source.tensors:
        if is_quantized(tensor.type):
            sizes[tensor.type] += tensor.bytes
    return sizes.most_common(1)[0][0] if sizes else None


def estimate_bytes(source: GGUFHeader, recipe: Recipe) -> int:
    """About how large the recipe's file will be, rather too much than too little."""
    tied = all(tensor.name != OUTPUT for tensor in source.tensors)
    size = sum(_estimated_bits(tensor, recipe, tied) for tensor in source.tensors) / 8
    return int(_MARGIN * size) + source.data_offset


def _estimated_bits(tensor: TensorInfo, recipe: Recipe, tied: bool) -> float:
    if len(tensor.shape) < 2:
        return 8 * tensor.bytes
    asked = recipe.asked(tensor.name)
    main_block, main_bits = block(recipe.mix.tensor)
    if asked:
        bits = block(asked)[1]
    elif tensor.shape[0] % main_block:
        bits = max(recipe.mix.bits, _WIDEST_FALLBACK)
    elif recipe.pure:
        bits = main_bits
    elif tied and tensor.name == EMBEDDING:
        bits = max(recipe.mix.bits, _MIXES_OUTPUT)
    else:
        bits = recipe.mix.bits
    return tensor.elements * bits


def contradiction(made: GGUFHeader, source: GGUFHeader, recipe: Recipe) -> str | None:
    """Where a file is not what was asked for: tensors lost, or a type that the recipe names not used."""
    before = {tensor.name: tensor for tensor in source.tensors}
    if before.keys() != {tensor.name for tensor in made.tensors}:
        return "its tensors are not those of the source"
    main, (weights, _) = recipe.mix.tensor, block(recipe.mix.tensor)
    for tensor in made.tensors:
        asked = recipe.asked(tensor.name)
        if asked is None and recipe.pure and tensor.shape[0] % weights == 0 and is_quantized(tensor.type):
            asked = main
        if asked not in (None, tensor.type):
            return f"{tensor.name[:80]} is {tensor.type}, asked for was {asked}"
        if tensor.shape != before[tensor.name].shape:
            return f"{tensor.name[:80]} has another shape than in the source"
    return None

"""`evalkit fit`: which of the known files a machine's memory holds, before anything is downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.config.settings import RunSettings
    from evalkit.weights.gguf import GGUFHeader

HELP = """
usage: evalkit fit [SIZE] [FILE.gguf...] [context=8192] [slots=4]

Every file that `evalkit models` names, and GGUF files of your own, against so much memory (default: what this
machine has): what serving it takes, as predicted from its size and geometry; whether that fits; and the most
tokens per slot that would. Nothing is downloaded. Files are served by llama.cpp on a CPU, checkpoints by
vLLM.

  SIZE                     16GiB, 6.5GB, 800MiB
  context=N, slots=N       tokens per slot (prompt and answer), and requests served together
  json=true                the same as JSON

exit code: 0 something fits, 1 nothing does, 2 wrong request
"""

_DEFAULTS = {"context": "8192", "slots": "4", "json": "false"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file, what it takes (bytes), and the most tokens per slot that fit (0: none; None: not known)."""

    name: str
    size: str
    needs: int
    largest: int | None


def main(arguments: Sequence[str]) -> int:
    import psutil

    from evalkit.config.options import read_arguments
    from evalkit.text import output_console, size_text, write_json

    given = read_arguments("fit", arguments, _DEFAULTS)
    context, slots = given.whole("context"), given.whole("slots")
    files = [place for place in given.places if place.lower().endswith(".gguf")]
    memory = _memory([place for place in given.places if place not in files])
    here = "" if memory else "this machine's "
    memory = memory or psutil.virtual_memory().total
    as_json = given.truth("json")
    found = sorted(
        [*_own(files, context, slots, memory), *_known(context, slots, memory)], key=lambda each: each.needs
    )
    if as_json:
        asked = {"memory": memory, "context": context, "slots": slots}
        write_json({**asked, "files": [{**asdict(each), "fits": each.needs <= memory} for each in found]})
        return int(all(each.needs > memory for each in found))
    console = output_console()
    head = f"{here}{size_text(memory)}, {slots} {'slot' if slots == 1 else 'slots'} of {context:,} tokens:"
    console.print(head, highlight=False)
    width = max(len(each.name) for each in found)
    for each in found:
        line = f"{each.name:<{width}}  {each.size:>9}  needs {size_text(each.needs, up=True):>10}  "
        console.print(line + _verdict(each, memory), highlight=False, markup=False, soft_wrap=True)
    return int(all(each.needs > memory for each in found))


def _memory(places: Sequence[str]) -> int | None:
    from evalkit.schema import UserError
    from evalkit.text import parse_size, printable

    if not places:
        return None
    if len(places) > 1:
        second = printable(places[1])
        raise UserError(f"fit: cannot read {second!r}: give one size, and files that end in .gguf")
    size = places[0].removeprefix("memory=")
    if size.isdigit() and int(size) < 1 << 20:
        raise UserError(f"fit: {size} what? evalkit fit {size}GiB")
    return parse_size(size, "fit")


def _verdict(each: Candidate, memory: int) -> str:
    largest = f"{each.largest:,}" if each.largest else ""
    if each.needs <= memory:
        return f"fits, up to {largest} tokens" if largest else "fits"
    return f"too large; {largest} tokens a slot fit" if largest else "does not fit"


def _own(files: Sequence[str], context: int, slots: int, memory: int) -> Iterator[Candidate]:
    """GGUF files of the user's, from their headers."""
    from pathlib import Path

    from evalkit.text import file_size, printable
    from evalkit.weights.gguf import read_model
    from evalkit.weights.memory import largest_context, predicted_memory

    def total(header: GGUFHeader, tokens: int) -> int:
        return predicted_memory(header, context=tokens, slots=slots, flash_attention=False).total

    for file in files:
        header = read_model(Path(file).expanduser())
        largest = largest_context(partial(total, header), memory, header.n_ctx_train or context)
        name = printable(Path(file).stem, 100)
        yield Candidate(name, file_size(header.file_size), total(header, context), largest)


def _known(context: int, slots: int, memory: int) -> Iterator[Candidate]:
    """The models with a config that says what their files take."""
    from evalkit.commands.models import own_models

    for settings in own_models().values():
        found = _of_config(settings, context, slots, memory)
        if found is not None:
            yield found


def _of_config(settings: RunSettings, context: int, slots: int, memory: int) -> Candidate | None:
    from evalkit.engines.needs import VllmSettings, needed_here
    from evalkit.text import file_size
    from evalkit.weights.memory import largest_context, stated_memory

    model, backend = settings.model, settings.backend
    if model.size_bytes is None or model.geometry is None or model.published_only:
        return None

    def total(tokens: int) -> int | None:
        if isinstance(backend, VllmSettings):
            return needed_here(model, backend, tokens=tokens, requests=slots)
        stated = stated_memory(model, context=tokens, slots=slots)
        return stated.total if stated else None

    needs = total(context)
    if needs is None:
        return None
    largest = largest_context(lambda tokens: total(tokens) or 0, memory, model.geometry.context)
    about = "~" if model.size_source in ("card", "computed") else ""
    return Candidate(model.name, about + file_size(model.size_bytes), needs, largest)

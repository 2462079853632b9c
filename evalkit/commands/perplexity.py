"""`evalkit perplexity`: perplexity of a text under files, by llama.cpp's own method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.fidelity.perplexity import Perplexity

HELP = """
usage: evalkit perplexity FILE.gguf... text=FILE.txt [KEY=VALUE ...]

Perplexity of a text under each file, as llama.cpp's llama-perplexity computes it: chunks of `context` tokens,
of which the second half counts. With a reference, also how far each file is from it on that text, token by
token, as publishers of quantized files show it (llama-perplexity --kl-divergence). Both say little of what a
file loses on a benchmark; `evalkit fidelity` does.

  text=FILE.txt            UTF-8, at most 8 MiB
  reference=FILE.gguf      the file that the others are held against
  context=512              tokens of a chunk
  chunks=N                 at most (default: all)
  threads=N                of the processor (default: its cores)
  gpu_layers=-1            layers on the GPU, where the library has one; -1: all
  json=true                the same as JSON

examples:
  evalkit perplexity ladder/*.gguf text=wiki.test.raw
  evalkit perplexity Fin-R1-q4_k_m.gguf text=report.txt context=2048 chunks=20

exit code: 0 done, 2 wrong request, 130 interrupted
"""

_DEFAULTS = {
    "text": "",
    "reference": "",
    "context": "512",
    "chunks": "",
    "threads": "",
    "gpu_layers": "-1",
    "json": "false",
}
_LARGEST_CONTEXT = 1 << 20


def main(arguments: Sequence[str]) -> int:
    from dataclasses import asdict
    from pathlib import Path

    from evalkit.config.options import read_arguments
    from evalkit.schema import UserError

    given = read_arguments("perplexity", arguments, _DEFAULTS)
    text_file = given.path("text")
    if not given.places or text_file is None:
        raise UserError("perplexity: give files and a text: evalkit perplexity FILE.gguf... text=FILE.txt")

    from evalkit.fidelity.engine import ends_are_said, gpu_layers, require_library, threads
    from evalkit.fidelity.perplexity import Chunks, perplexity, read_text, reference_rows
    from evalkit.text import output_console, show_table, write_json
    from evalkit.weights.gguf import read_model

    require_library()
    how = Chunks(
        context=given.whole("context", least=16, most=_LARGEST_CONTEXT),
        most=given.optional_whole("chunks"),
        threads=threads(given),
        gpu_layers=gpu_layers(given),
    )
    text, files = read_text(text_file), [Path(place).expanduser() for place in given.places]
    reference = given.path("reference")
    for file in [*files, *([reference] if reference else [])]:
        read_model(file)
    as_json, figures = given.truth("json"), {}
    with ends_are_said(resumable=False), _log() as log:
        known = reference_rows(reference, text, log, how) if reference else None
        for file in files:
            figures[file.name] = perplexity(file, text, log, how, known)
    if as_json:
        write_json([{"file": name, **asdict(each)} for name, each in figures.items()])
        return 0
    rows = [(name, *_cells(each)) for name, each in figures.items()]
    header = ["File", "Perplexity", "±", "Tokens", f"Chunks of {how.context}"]
    if reference:
        header += ["KL, nats per token", "±", "Same likeliest token, %"]
    show_table(output_console(), "", header, rows)
    return 0


@contextmanager
def _log() -> Iterator[Path]:
    """llama.cpp's output, in a file that outlives the command only where it tells why a file failed."""
    import os
    import tempfile
    from pathlib import Path

    from evalkit.schema import EngineUnusable

    handle, name = tempfile.mkstemp(prefix="evalkit-perplexity-", suffix=".log")
    os.close(handle)
    told = False
    try:
        yield Path(name)
    except EngineUnusable:
        told = True
        raise
    finally:
        if not told:
            Path(name).unlink()


def _cells(found: Perplexity) -> list[str]:
    from evalkit.report.fidelity import figure

    cells = [f"{found.value:.4f}", f"{found.error:.4f}", str(found.tokens), str(found.chunks)]
    if (against := found.against) is not None:
        cells += [figure(against.kl), figure(against.error), f"{100 * against.agreement:.1f}"]
    return cells

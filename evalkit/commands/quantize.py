"""`evalkit quantize`: a ladder of GGUF files from one source file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.weights.quantize import LadderFile, Recipe


HELP = """
usage: evalkit quantize SOURCE.gguf OUT_DIR ladder=NAME [KEY=VALUE ...]

Build the files of a ladder from one source file, through llama.cpp's own quantizer. OUT_DIR/ladder.json
records what each file is: recipe, hash, source, quantizer, and tensors that could not have the recipe's type.
Files that are there as recorded are kept; called again after any interruption, the same command goes on with
what is missing.

  ladder=NAME             fin-r1: the eleven recipes of the Fin-R1 GGUF files
  ladder.recipes=A,B       only these, in this order
  allow_requantize=true    take a source that is quantized already; it loses quality twice, and reports say so
  quantizer=library|PATH   llama-cpp-python, or a llama-quantize binary (default: the one that is installed)
  json=true                at the end the files as JSON
  imatrix=FILE             an importance matrix in llama.cpp's GGUF format; some low-bit mixes need one

examples:
  evalkit quantize Fin-R1-bf16.gguf ladder ladder=fin-r1
  evalkit quantize small.Q4_1.gguf ladder ladder=fin-r1 ladder.recipes=q4_0,q8_0 allow_requantize=true

exit code: 0 done, 1 some files could not be made, 2 wrong request, 130 interrupted
"""
_DEFAULTS = {
    "ladder.recipes": "",
    "allow_requantize": "false",
    "quantizer": "",
    "imatrix": "",
    "json": "false",
}


def main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from evalkit.config.options import everything, read_arguments
    from evalkit.config.overrides import compose, to_dict
    from evalkit.schema import UserError
    from evalkit.weights.quantize import chosen, find_quantizer, open_source, recipes

    given = read_arguments("quantize", arguments, _DEFAULTS, hand_on=everything)
    if len(given.places) != 2:
        raise UserError(
            "quantize: give the source and a folder: evalkit quantize SOURCE.gguf OUT_DIR ladder=NAME"
        )
    source, out_dir = (Path(place).expanduser() for place in given.places)
    ladder = to_dict(compose(given.handed_on)).get("ladder")
    if ladder is None:
        raise UserError("quantize: no ladder given: add ladder=NAME, for example ladder=fin-r1")
    known = recipes(ladder)
    wanted = chosen(known, given.names("ladder.recipes") or list(known))
    imatrix, allow = given.path("imatrix"), given.truth("allow_requantize")
    quantizer, as_json = given.text("quantizer") or None, given.truth("json")
    # Everything that is wrong with the request shows before the first file is made.
    open_source(source, allow, imatrix)
    find_quantizer(quantizer)
    return _build_all(source, out_dir, wanted, allow, quantizer, imatrix, as_json)


def _build_all(
    source: Path,
    out_dir: Path,
    wanted: Sequence[Recipe],
    allow_requantize: bool,
    quantizer: str | None,
    imatrix: Path | None,
    as_json: bool,
) -> int:
    import sys

    from evalkit.text import write_json
    from evalkit.weights.quantize import QuantizeFailed, build

    made: list[LadderFile] = []
    failed: dict[str, str] = {}
    for recipe in wanted:
        try:
            built = build(
                source,
                out_dir,
                recipe,
                prefix=_prefix(source),
                allow_requantize=allow_requantize,
                quantizer=quantizer,
                imatrix=imatrix,
            )
            made.append(built)
            if not as_json:
                print(_line(built), flush=True)
        except QuantizeFailed as error:
            failed[recipe.name] = str(error)
            print(f"evalkit: {recipe.name} failed: {error}", file=sys.stderr, flush=True)
    if as_json:
        write_json({"folder": out_dir, "files": made, "failed": failed})
        return 1 if failed else 0
    print(f"{len(made)} of {len(wanted)} files are in {out_dir}; ladder.json there says how made")
    return 1 if failed else 0


def _line(built: LadderFile) -> str:
    from evalkit.text import file_size

    words = [f"{built.recipe.name:<10} {file_size(built.size_bytes):>8}  {built.path.name}"]
    if built.requantized_from:
        words.append(f"requantized from {built.requantized_from}")
    if built.fallbacks:
        counts = ", ".join(f"{count} {kind}" for kind, count in built.fallbacks.items())
        words.append(f"fallbacks: {counts} ({built.fallback_reason})")
    return "; ".join(words)


def _prefix(source: Path) -> str:
    """The source's name without the type at its end: Fin-R1-bf16.gguf gives Fin-R1."""
    from evalkit.weights.recipe import ALIASES, MIXES

    stem = source.stem
    for kind in sorted((*MIXES, *ALIASES), key=len, reverse=True):
        if stem.lower().endswith((f"-{kind}".lower(), f".{kind}".lower())):
            return stem[: -len(kind) - 1]
    return stem

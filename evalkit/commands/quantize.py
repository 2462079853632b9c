"""`evalkit quantize`: a ladder of GGUF files from one source file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.quantize.build import Built
    from evalkit.quantize.ladder import Recipe

HELP = """
usage: evalkit quantize SOURCE.gguf OUT_DIR +ladder=NAME [KEY=VALUE ...]

Build the files of a ladder from one source file, through llama.cpp's own quantizer. OUT_DIR/ladder.json
records what each file is: recipe, hash, source, quantizer, and tensors that could not have the recipe's type.
Files that are there as recorded are kept; called again after any interruption, the same command goes on with
what is missing.

  +ladder=NAME             fin-r1: the eleven recipes of the Fin-R1 GGUF files
  ladder.recipes=[A,B]     only these, in this order
  allow_requantize=true    take a source that is quantized already; it loses quality twice, and reports say so
  quantizer=library|PATH   llama-cpp-python, or a llama-quantize binary (default: the one that is installed)
  imatrix=FILE             an importance matrix in llama.cpp's GGUF format; some low-bit mixes need one

examples:
  evalkit quantize Fin-R1-bf16.gguf ladder +ladder=fin-r1
  evalkit quantize small.Q4_1.gguf ladder +ladder=fin-r1 ladder.recipes=[q4_0,q8_0] allow_requantize=true

exit code: 0 done, 1 some files could not be made, 2 wrong request, 130 interrupted
"""
_OPTIONS = ("ladder.recipes", "allow_requantize", "quantizer", "imatrix")


def main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from evalkit.config import compose, to_dict
    from evalkit.errors import UserError
    from evalkit.quantize.build import open_source
    from evalkit.quantize.ladder import chosen, recipes
    from evalkit.quantize.quantizer import find_quantizer

    if len(arguments) < 2 or any("=" in argument for argument in arguments[:2]):
        raise UserError(
            "quantize: give the source and a folder: evalkit quantize SOURCE.gguf OUT_DIR +ladder=NAME"
        )
    source, out_dir = (Path(argument).expanduser() for argument in arguments[:2])
    pairs = [argument.partition("=")[::2] for argument in arguments[2:]]
    options = {key: value for key, value in pairs if key in _OPTIONS}
    overrides = [
        argument for argument, (key, _) in zip(arguments[2:], pairs, strict=True) if key not in _OPTIONS
    ]
    ladder = to_dict(compose(overrides)).get("ladder")
    if ladder is None:
        raise UserError("quantize: no ladder given: add +ladder=NAME, for example +ladder=fin-r1")
    known = recipes(ladder)
    wanted = chosen(known, _names(options["ladder.recipes"]) if "ladder.recipes" in options else list(known))
    imatrix = Path(options["imatrix"]).expanduser() if "imatrix" in options else None
    allow = _switch("allow_requantize", options.get("allow_requantize", "false"))
    # Everything that is wrong with the request shows before the first file is made.
    open_source(source, allow, imatrix)
    find_quantizer(options.get("quantizer"))
    return _build_all(source, out_dir, wanted, allow, options.get("quantizer"), imatrix)


def _build_all(
    source: Path,
    out_dir: Path,
    wanted: Sequence[Recipe],
    allow_requantize: bool,
    quantizer: str | None,
    imatrix: Path | None,
) -> int:
    import sys

    from evalkit.quantize.build import QuantizeFailed, build

    failed = 0
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
            print(_line(built), flush=True)
        except QuantizeFailed as error:
            failed += 1
            print(f"evalkit: {recipe.name} failed: {error}", file=sys.stderr, flush=True)
    print(f"{len(wanted) - failed} of {len(wanted)} files are in {out_dir}; ladder.json there says how made")
    return 1 if failed else 0


def _line(built: Built) -> str:
    from evalkit.models.cache import human

    words = [f"{built.recipe.name:<10} {human(built.size_bytes):>8}  {built.path.name}"]
    if built.requantized_from:
        words.append(f"requantized from {built.requantized_from}")
    if built.fallbacks:
        counts = ", ".join(f"{count} {kind}" for kind, count in built.fallbacks.items())
        words.append(f"fallbacks: {counts} ({built.fallback_reason})")
    return "; ".join(words)


def _prefix(source: Path) -> str:
    """The source's name without the type at its end: Fin-R1-bf16.gguf gives Fin-R1."""
    from evalkit.quantize.mixes import ALIASES, MIXES

    stem = source.stem
    for kind in sorted((*MIXES, *ALIASES), key=len, reverse=True):
        if stem.lower().endswith((f"-{kind}".lower(), f".{kind}".lower())):
            return stem[: -len(kind) - 1]
    return stem


def _names(value: str) -> list[str]:
    return [
        name.strip() for name in value.strip().removeprefix("[").removesuffix("]").split(",") if name.strip()
    ]


def _switch(key: str, value: str) -> bool:
    from evalkit.errors import UserError

    if value.lower() not in ("true", "false"):
        raise UserError(f"quantize: {key}={value}: write true or false")
    return value.lower() == "true"

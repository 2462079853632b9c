"""`evalkit gguf`: what a GGUF file really contains."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.schema import UserError

HELP = """
usage: evalkit gguf FILE [context=4096] [slots=4] [flash_attention=off] [claimed=q4_k] [strict=true]
                    [json=true]

Show what a file is made of: hash, architecture and geometry, tensor types and bits per weight of each part,
chat template, importance matrix, the recipe found against the one claimed (by claimed=, the file's name, and
general.file_type), and the memory that llama.cpp's server will need on a CPU.

  context=N, slots=N       tokens per slot and requests served together, for the memory
  claimed=RECIPE           what it is said to be: q4_k, q8_0, bf16-q8_0, IQ3_M, ...
  strict=true              refuse a file whose tensors contradict what is claimed
  json=true                the same as JSON

exit code: 0 done, 2 wrong request, no usable file, or contradictions with strict=true
"""

_DEFAULTS = {
    "context": "4096",
    "slots": "4",
    "flash_attention": "off",
    "claimed": "",
    "strict": "false",
    "json": "false",
}


def main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from evalkit.config.options import read_arguments
    from evalkit.text import output_console, write_json
    from evalkit.weights.gguf import read_model, sha256_of_model
    from evalkit.weights.memory import clean, gguf_facts, show_facts

    given = read_arguments("gguf", arguments, _DEFAULTS)
    if len(given.places) != 1:
        raise UserError("gguf: give a file: evalkit gguf FILE")
    strict, as_json = given.truth("strict"), given.truth("json")
    header = read_model(Path(given.places[0]).expanduser())
    found = gguf_facts(
        header,
        sha256_of_model(header.parts or (header.path,)),
        context=given.whole("context"),
        slots=given.whole("slots"),
        flash_attention=given.truth("flash_attention"),
        claimed=given.text("claimed") or None,
    )
    broken = found["recipe"]["contradictions"]
    if strict and broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise UserError(f"{clean(header.path.name)} is not what it is said to be: {broken[0]}{more}")
    if as_json:
        write_json(found)
    else:
        show_facts(found, output_console())
    return 0

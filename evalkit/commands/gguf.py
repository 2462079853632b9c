"""`evalkit gguf`: what a GGUF file really contains, and files with the shape of a model without the model."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.errors import UserError

HELP = """
usage: evalkit gguf FILE [context=4096] [slots=4] [flash_attention=off] [claimed=q4_k] [strict=true]
                    [json=true]
       evalkit gguf synthetic OUT.gguf [recipe=q4_0] [layers=28] [hidden=3584] [feed_forward=18944] [heads=28]
                               [kv_heads=4] [head_dim=128] [vocabulary=152064] [context=32768] [tied=false]

Show what a file is made of: hash, architecture and geometry, tensor types and bits per weight of each part,
chat template, importance matrix, the recipe found against the one claimed (by claimed=, the file's name, and
general.file_type), and the memory that llama.cpp's server will need on a CPU.

  context=N, slots=N       tokens per slot and requests served together, for the memory
  claimed=RECIPE           what it is said to be: q4_k, q8_0, bf16-q8_0, IQ3_M, ...
  strict=true              refuse a file whose tensors contradict what is claimed
  json=true                the same as JSON

synthetic writes a file of random weights that llama.cpp loads and serves, by default in Qwen2.5-7B's
geometry, to measure memory and size without the model. Recipes: bf16, f16, bf16-q8_0, f16-q8_0, q8_0, q6_k,
q4_k (the Q4_K_M mix with Q8_0 embeddings and output), q4_k-pure, q4_k_s, q4_0, iq3_m, iq3_xs.

exit code: 0 done, 2 wrong request, no usable file, or contradictions with strict=true
"""

_SHOW = ("context", "slots", "flash_attention", "claimed", "strict", "json")


def main(arguments: Sequence[str]) -> int:
    if not arguments:
        raise UserError("gguf: give a file: evalkit gguf FILE")
    if arguments[0] == "synthetic":
        return _synthetic(arguments[1:])
    return _show(arguments[0], arguments[1:])


def _show(file: str, arguments: Sequence[str]) -> int:
    import json
    from pathlib import Path

    from evalkit.gguf.facts import facts
    from evalkit.gguf.header import read_header
    from evalkit.gguf.settings import settings, switch, whole
    from evalkit.gguf.show import clean, show
    from evalkit.models.digest import sha256_of
    from evalkit.report.console import output_console

    options = settings("gguf", arguments, _SHOW)
    strict, as_json = (switch(key, options.get(key, "false")) for key in ("strict", "json"))
    header = read_header(Path(file).expanduser())
    found = facts(
        header,
        sha256_of(header.path),
        context=whole("context", options.get("context", "4096")),
        slots=whole("slots", options.get("slots", "4")),
        flash_attention=switch("flash_attention", options.get("flash_attention", "off")),
        claimed=options.get("claimed"),
    )
    broken = found["recipe"]["contradictions"]
    if strict and broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise UserError(f"{clean(header.path.name)} is not what it is said to be: {broken[0]}{more}")
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        show(found, output_console())
    return 0


def _synthetic(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from evalkit.gguf.settings import SHAPE, settings, shape
    from evalkit.gguf.synthetic import build_named, write
    from evalkit.report.console import output_console

    if not arguments or "=" in arguments[0]:
        raise UserError("gguf synthetic: give the file to write: evalkit gguf synthetic OUT.gguf recipe=q4_0")
    path = Path(arguments[0]).expanduser()
    options = settings("gguf synthetic", arguments[1:], ("recipe", *SHAPE))
    recipe = options.get("recipe", "q4_0")
    if path.exists():
        raise UserError(f"{path} exists already: remove it or give another name")
    write(path, shape(options), build_named(recipe), f"synthetic {recipe}")
    line = f"{path}: {path.stat().st_size / 1e9:.2f} GB of random weights, {recipe}"
    output_console().print(line, highlight=False, markup=False)
    return 0

"""`{ladder: recipe name, recipe: its types, model: a model config}`: a file built from that model's file.

The quantizer is llama.cpp's own. Requantizing a quantized file is allowed here because whoever names such a
source asks for it; the run record says from what.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.errors import UserError
from evalkit.models.fetched import Fetched
from evalkit.paths import cache_dir


def fetch(model: Mapping[str, Any]) -> Fetched:
    """Return the built file, from the cache or by building it. Reads `source`.

    Raises:
        UserError: the source model cannot be had, no quantizer is installed, no room, or it failed.
    """
    from evalkit.models.weights import resolve
    from evalkit.quantize.build import QuantizeFailed, build
    from evalkit.quantize.ladder import Recipe

    source = model["source"]
    base = resolve(source["model"])
    name = str(source["model"]["name"])
    folder = cache_dir() / "ladders" / f"{name}-{base.sha256[:12]}"
    try:
        built = build(base.path, folder, Recipe(**source["recipe"]), prefix=name, allow_requantize=True)
    except QuantizeFailed as error:
        raise UserError(f"{model['name']}: {error}") from error
    return Fetched(built.path, f"built:{built.quantizer} from {base.origin}", built.requantized_from)

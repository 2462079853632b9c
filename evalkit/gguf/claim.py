"""What a config, a label or a file name claims about a file's quantization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from evalkit.errors import UserError
from evalkit.gguf.mixes import ALIASES, MIXES, base_type, is_type

Part = Literal["embeddings", "output", "rest"]
_PARTS: tuple[Part, ...] = ("embeddings", "output", "rest")
_UNQUANTIZED = ("F32", "F16", "BF16")


@dataclass(frozen=True, slots=True)
class Claim:
    """`label` as it was given, and the recipes that keep the claim: mixes, or `pure TYPE`."""

    source: str
    label: str
    recipes: tuple[str, ...]
    part: Part = "rest"


def claims(claimed: Mapping[str, str | None] | str | None, file_name: str | None) -> list[Claim]:
    """Every single claim. A name that tells no quantization claims nothing.

    Raises:
        UserError: `claimed` has something that is neither a tensor type nor a mix, or a part there is not.
    """
    found: list[Claim] = []
    if isinstance(claimed, str):
        found = _of_label("claimed", claimed)
        if not found:
            raise UserError(
                f"claimed={claimed[:80]}: no such recipe; write q4_k, q8_0, bf16-q8_0 or the like"
            )
    elif claimed is not None:
        found = [_of_part(part, str(kind)) for part, kind in claimed.items() if kind is not None]
    return found + (_of_label("the file name says", _label(file_name)) if file_name else [])


def _of_part(part: str, kind: str) -> Claim:
    known = next((name for name in _PARTS if name == part), None)
    if known is None:
        raise UserError(f"recipe: no such part '{part[:80]}': write embeddings, output and rest")
    name = kind.upper()
    if not (is_type(name) or (known == "rest" and name in MIXES)):
        raise UserError(f"recipe: {part}: '{kind[:80]}' is neither a tensor type nor a mix of llama.cpp")
    return Claim(f"claimed {part}", name, (f"pure {name}" if is_type(name) else name,), known)


def _of_label(source: str, label: str) -> list[Claim]:
    """`q4_k`, `Q4_K_M`, or `bf16-q8_0`: the embeddings and the output, then the rest."""
    name = label.upper()
    ends, _, rest = name.replace("-", "_").partition("_")
    if ends in _UNQUANTIZED and rest:
        body = _recipes(rest)
        parts: tuple[Part, ...] = ("embeddings", "output")
        return [
            *(Claim(f"{source} {part}", ends, (f"pure {ends}",), part) for part in parts if body),
            *([Claim(source, rest, body)] if body else []),
        ]
    recipes = _recipes(name)
    return [Claim(source, name, recipes)] if recipes else []


def _recipes(name: str) -> tuple[str, ...]:
    """llama.cpp reads Q4_K as Q4_K_M; people also mean the type itself."""
    if name in ALIASES:
        return (ALIASES[name], f"pure {name}")
    if name not in MIXES:
        return ()
    # A Q4_0 mix has Q4_1 tensors if there was an importance matrix: the name does not say so.
    uniform = name in ("Q4_0", "Q5_0")
    return (f"pure {name}",) if uniform else (name, f"pure {name}") if base_type(name) == name else (name,)


def _label(file_name: str) -> str:
    """The quantization that a file name ends with: `q4_k_s` of Fin-R1-q4_k_s.gguf, '' if there is none."""
    stem = file_name.lower().removesuffix(".gguf")
    head, _, of = stem.rpartition("-of-")
    if of.isdigit():  # model-Q8_0-00001-of-00003.gguf
        stem = head.rpartition("-")[0]
    words = stem.replace(".", "-").split("-")
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if before.upper() in _UNQUANTIZED and _recipes(last.upper()):
        return f"{before}-{last}"
    while last and not _of_label("", last):  # name_q4_0: the label begins after some underline
        last = last.partition("_")[2]
    return last

"""What a GGUF file is made of, and where that contradicts what it is said to be.

The tensor table is the truth. A recipe is recognised by giving every tensor the type that llama.cpp's
quantizer would give it (mixes.py) and counting where the file differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evalkit.gguf.claim import Claim, claims
from evalkit.gguf.header import GGUFHeader, TensorInfo
from evalkit.gguf.mixes import (
    EMBEDDING,
    FILE_TYPES,
    MIXES,
    OUTPUT,
    Model,
    base_type,
    fallbacks,
    is_weight,
    tensor_type,
)
from evalkit.gguf.summary import geometry

GROUPS = ("embedding", "output", "attention", "ffn", "other")
_GUESSED = 1024  # llama.cpp's flag in general.file_type: guessed from the tensors
_UNIFORM = ("Q4_0", "Q5_0")  # mixes of one type, unless there is an importance matrix
_NEARLY = 0.05  # the share of tensors that may differ from a mix that is still named
_NAMED_TYPES = 4  # in one line
_LARGE_LAYERS = 80  # llama and qwen2 with 80 layers are llama.cpp's 70B models


@dataclass(frozen=True, slots=True)
class Group:
    """The tensors of one part of the model; `types` counts them by type, commonest first."""

    name: str
    tensors: int
    weights: int
    bytes: int
    types: dict[str, int]

    @property
    def bits_per_weight(self) -> float:
        """Of tensor data; 0 for a group without weights."""
        return 8 * self.bytes / self.weights if self.weights else 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a file is made of.

    `name` fits best: a type for a uniform body (Q8_0), `pure Q4_K`, `Q4_K_M mix`, or `Q4_0 with Q4_1
    tensors`, then embeddings and output where they are not the recipe's own. `fallbacks` names the
    tensors whose rows do not fit their type's blocks, so that llama.cpp took another.
    """

    name: str
    groups: tuple[Group, ...]
    fallbacks: tuple[str, ...]
    bits_per_weight: float


def found_recipe(header: GGUFHeader) -> Recipe:
    """The recipe that the tensors tell."""
    groups = tuple(group for name in GROUPS if (group := _group(name, header.tensors)).tensors)
    weights, size = sum(group.weights for group in groups), sum(group.bytes for group in groups)
    best = _best_fit(header)
    return Recipe(_name(header, best), groups, best.fallbacks, 8 * size / weights if weights else 0.0)


def contradictions(
    header: GGUFHeader, claimed: Mapping[str, str | None] | str | None, file_name: str | None
) -> list[str]:
    """One line for each way in which the tensors contradict a claim; empty if they keep all of them.

    Norms and biases in F32 and documented fallbacks are no contradiction.

    Args:
        claimed: `{embeddings, output, rest}`, each a tensor type, the name of a mix or None, as a model's
            config has it under `recipe`; or one label such as `q4_k`.
        file_name: of the file, for the quantization that its name ends with.

    Raises:
        UserError: `claimed` names what is neither a tensor type nor a mix.
    """
    made = claims(claimed, file_name)
    declared = _declared(header)
    if declared:
        kept_by = (declared, f"pure {base_type(declared)}")
        made.append(Claim("general.file_type says", declared, kept_by))
    found = _body_name(_body(header), _best_fit(header))
    lines = [line for claim in made for line in _broken(header, claim, found)]
    return list(dict.fromkeys(lines))


class _Fit(NamedTuple):
    """How a recipe fits: the tensors that differ, and the names of those that fell back."""

    recipe: str
    different: tuple[TensorInfo, ...]
    fallbacks: tuple[str, ...]


def _group(name: str, tensors: Iterable[TensorInfo]) -> Group:
    chosen = [tensor for tensor in tensors if _group_of(tensor) == name]
    return Group(
        name,
        len(chosen),
        sum(tensor.elements for tensor in chosen),
        sum(tensor.bytes for tensor in chosen),
        dict(Counter(tensor.type for tensor in chosen).most_common()),
    )


def _group_of(tensor: TensorInfo) -> str:
    if tensor.name in (EMBEDDING, OUTPUT):
        return "embedding" if tensor.name == EMBEDDING else "output"
    if not is_weight(tensor.name, len(tensor.shape)):
        return "other"
    return next((part for part in ("attn", "ffn") if f".{part}_" in tensor.name), "other").replace(
        "attn", "attention"
    )


def _body(header: GGUFHeader) -> list[TensorInfo]:
    """The matrices apart from embeddings and output."""
    ends = (EMBEDDING, OUTPUT)
    return [t for t in header.tensors if t.name not in ends and is_weight(t.name, len(t.shape))]


def _model(header: GGUFHeader) -> Model:
    shape = geometry(header)
    layers = shape["layers"] or 0
    gqa = (shape["heads"] or 1) // (shape["kv_heads"] or shape["heads"] or 1)
    tied = all(tensor.name != OUTPUT for tensor in header.tensors)
    large = layers == _LARGE_LAYERS and header.architecture in ("llama", "qwen2")
    return Model(layers, gqa, tied, large)


def _is_mixture_of_experts(header: GGUFHeader) -> bool:
    return bool(header.count(f"{header.architecture}.expert_count"))


def _fit(recipe: str, tensors: Iterable[TensorInfo], model: Model) -> _Fit:
    """`recipe`: `pure TYPE`, or a mix; of a mix with and without an importance matrix, the better."""
    if recipe.startswith("pure "):
        return _fit_types(recipe, ((tensor, recipe[5:]) for tensor in tensors))
    kept = list(tensors)
    both = (
        _fit_types(recipe, ((t, tensor_type(recipe, model, t.name, imatrix=matrix)) for t in kept))
        for matrix in (False, True)
    )
    return min(both, key=lambda fit: len(fit.different))


def _fit_types(recipe: str, wanted: Iterable[tuple[TensorInfo, str]]) -> _Fit:
    different, fallen = [], []
    for tensor, kind in wanted:
        row = tensor.shape[0] if tensor.shape else 1
        if tensor.type in fallbacks(kind, row, output=tensor.name in (EMBEDDING, OUTPUT)):
            fallen.append(tensor.name)
        elif tensor.type != kind:
            different.append(tensor)
    return _Fit(recipe, tuple(different), tuple(fallen))


def _best_fit(header: GGUFHeader) -> _Fit:
    """Uniform before mixed; of mixes that fallbacks make alike, the one that the file declares."""
    body, model = _body(header), _model(header)
    declared = _declared(header)
    first = [declared] if declared and base_type(declared) != declared else []
    pure = [f"pure {kind}" for kind in sorted({tensor.type for tensor in body})]
    fits = [_fit(recipe, body, model) for recipe in (*first, *pure, *_possible_mixes(body))]
    return min(fits, key=lambda fit: (len(fit.different), len(fit.fallbacks)))


def _possible_mixes(body: Iterable[TensorInfo]) -> list[str]:
    """The mixes whose commonest type, or what stands in for it, is there at all; all if there is no body."""
    present = {tensor.type for tensor in body}
    bases = {mix: base_type(mix) for mix in MIXES}
    return [mix for mix, base in bases.items() if not present or present & {base, *fallbacks(base, 32)}]


def _declared(header: GGUFHeader) -> str | None:
    """The mix that general.file_type names."""
    number = header.metadata.get("general.file_type")
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    return FILE_TYPES.get(number & ~_GUESSED)


def _body_name(body: Sequence[TensorInfo], fit: _Fit) -> str:
    """`pure Q4_K`, `Q4_K_M mix`, `Q4_0 with Q4_1 tensors`."""
    if not body:
        return "no weights"
    if fit.recipe.startswith("pure ") and not fit.different:
        return fit.recipe
    if len(fit.different) <= len(body) * _NEARLY and fit.recipe in MIXES and fit.recipe not in _UNIFORM:
        count = len(fit.different)
        return f"{fit.recipe} mix" + (f" but for {count} tensor{'s' * (count > 1)}" if count else "")
    commonest, *others = (kind for kind, _ in Counter(t.type for t in body).most_common(_NAMED_TYPES))
    return f"{commonest} with {', '.join(others)} tensors"


def _name(header: GGUFHeader, fit: _Fit) -> str:
    """The body's name, then embeddings and output where they are not what that recipe gives."""
    model, body = _model(header), _body(header)
    ends = [tensor for name in (EMBEDDING, OUTPUT) if (tensor := _named(header, name))]
    name = _body_name(body, fit)
    unlike = _fit(fit.recipe, ends, model).different
    kind = name.removeprefix("pure ")
    mixes = [mix for mix in MIXES if base_type(mix) == kind and not _fit(mix, body, model).different]
    if kind != name and mixes:
        # A uniform body is pure and a mix as well; the ends decide.
        standard = next((mix for mix in mixes if not _fit(mix, ends, model).different), None)
        name, unlike = (standard, ()) if standard else (name if not unlike else kind, unlike)
    return ", ".join([name, *_end_names(unlike)])


def _end_names(unlike: Iterable[TensorInfo]) -> list[str]:
    kinds = {("embeddings" if tensor.name == EMBEDDING else "output"): tensor.type for tensor in unlike}
    if len(kinds) == 2 and len(set(kinds.values())) == 1:
        return [f"embeddings and output {kinds['output']}"]
    return [f"{end} {kind}" for end, kind in kinds.items()]


def _named(header: GGUFHeader, name: str) -> TensorInfo | None:
    return next((tensor for tensor in header.tensors if tensor.name == name), None)


def _broken(header: GGUFHeader, claim: Claim, found: str) -> list[str]:
    """The line to write if `header` does not keep `claim`, in a list."""
    if claim.part != "rest":
        return _broken_end(header, claim)
    body, model = _body(header), _model(header)
    known = [r for r in claim.recipes if r.startswith("pure ") or not _is_mixture_of_experts(header)]
    if not known:
        return []
    fit = min((_fit(recipe, body, model) for recipe in known), key=lambda f: len(f.different))
    if not fit.different:
        return []
    counts = Counter(tensor.type for tensor in fit.different).most_common(_NAMED_TYPES)
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts)
    differ = f"are {counts[0][0]}" if len(counts) == 1 else f"are not ({kinds})"
    return [
        f"{claim.source} {claim.label}: {len(fit.different)} of {len(body)} tensors {differ}; found: {found}"
    ]


def _broken_end(header: GGUFHeader, claim: Claim) -> list[str]:
    tensor = _named(header, EMBEDDING if claim.part == "embeddings" else OUTPUT)
    tensor = tensor or _named(header, EMBEDDING)  # the output shares the embeddings
    if tensor is None or not _fit(claim.recipes[0], [tensor], _model(header)).different:
        return []
    return [f"{claim.source} {claim.label}: it is {tensor.type}"]

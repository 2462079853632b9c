"""What a GGUF file is made of, and where that contradicts what it is said to be.

The tensor table is the truth. A recipe is recognised by giving every tensor the type that llama.cpp's
quantizer would give it, and counting where the file differs. Claims are a config's, a label's, the file
name's and general.file_type's.

A mix such as Q4_K_M is a rule and not a type: most tensors get its main type, some layers' `attn_v` and
`ffn_down` more bits. The rules are `llama_tensor_get_type_impl`, `tensor_type_fallback` and
`llama_ftype_get_default_type` in llama.cpp's src/llama-quant.cpp, the names `QUANT_OPTIONS` in its
tools/quantize/quantize.cpp, for dense models; Falcon and mixtures of experts have rules of their own, not
given here.

The rules count layers. Until 2024 the quantizer counted them as they came in the file, and converters wrote
them sorted by name: blk.0, blk.1, blk.10, blk.11, ..., blk.2 (llama.cpp issue 9005). Files of that time are
still in use, and are as good: other layers have the additional bits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, NamedTuple

from evalkit.schema import UserError
from evalkit.weights.gguf import GGUFHeader, TensorInfo, geometry

EMBEDDING, OUTPUT = "token_embd.weight", "output.weight"


@dataclass(frozen=True, slots=True)
class Mix:
    """One of llama.cpp's mixes.

    `number` is its `llama_ftype`, as general.file_type has it; `tensor` the type of most tensors; `bits` per
    weight over a whole 8B model.
    """

    number: int
    tensor: str
    bits: float


# Bits: llama.cpp's tools/quantize/README.md, measured on Llama-3.1-8B; Q4_0 to Q5_1 from the sizes that
# quantize.cpp gives for that model; plain floats by definition. Numbers of removed types are left out.
MIXES = {
    "F32": Mix(0, "F32", 32),
    "F16": Mix(1, "F16", 16),
    "BF16": Mix(32, "BF16", 16),
    "Q8_0": Mix(7, "Q8_0", 8.5008),
    "Q6_K": Mix(18, "Q6_K", 6.5633),
    "Q5_K_M": Mix(17, "Q5_K", 5.7036),
    "Q5_K_S": Mix(16, "Q5_K", 5.5704),
    "Q5_1": Mix(9, "Q5_1", 6.04),
    "Q5_0": Mix(8, "Q5_0", 5.57),
    "Q4_K_M": Mix(15, "Q4_K", 4.8944),
    "Q4_K_S": Mix(14, "Q4_K", 4.6672),
    "Q4_1": Mix(3, "Q4_1", 5.11),
    "Q4_0": Mix(2, "Q4_0", 4.64),
    "IQ4_NL": Mix(25, "IQ4_NL", 4.6818),
    "IQ4_XS": Mix(30, "IQ4_XS", 4.4597),
    "Q3_K_L": Mix(13, "Q3_K", 4.2979),
    "Q3_K_M": Mix(12, "Q3_K", 3.996),
    "Q3_K_S": Mix(11, "Q3_K", 3.6429),
    "IQ3_M": Mix(27, "IQ3_S", 3.7628),
    "IQ3_S": Mix(26, "IQ3_S", 3.6606),
    "IQ3_XS": Mix(22, "IQ3_S", 3.4977),
    "IQ3_XXS": Mix(23, "IQ3_XXS", 3.2548),
    "Q2_K": Mix(10, "Q2_K", 3.1593),
    "Q2_K_S": Mix(21, "Q2_K", 2.9697),
    "IQ2_M": Mix(29, "IQ2_S", 2.9294),
    "IQ2_S": Mix(28, "IQ2_XS", 2.7403),
    "IQ2_XS": Mix(20, "IQ2_XS", 2.5882),
    "IQ2_XXS": Mix(19, "IQ2_XXS", 2.3824),
    "IQ1_M": Mix(31, "IQ1_M", 2.146),
    "IQ1_S": Mix(24, "IQ1_S", 2.0042),
}
FILE_TYPES = {mix.number: name for name, mix in MIXES.items()}
ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}  # as llama-quantize reads them
TENSOR_TYPES = tuple(sorted({mix.tensor for mix in MIXES.values()}))

_IQ12 = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M")
_UNQUANTIZED_TYPES = ("F32", "F16", "BF16")
# A row that is no multiple of the type's block: what llama.cpp takes instead (now, and in earlier
# versions).
_FALLBACK = {
    "Q4_K": ("Q5_0",),
    "Q5_K": ("Q5_1",),
    "Q6_K": ("Q8_0",),
    "Q2_K": ("Q4_0", "IQ4_NL"),
    "Q3_K": ("Q4_0", "IQ4_NL"),
}


LayerOrder = Literal["numeric", "by name"]
_MOST_LAYERS = 1000  # a model has 126 at most; a file may say anything
_ALIKE = 10  # layers: up to here both orders are one


@cache
def _positions_by_name(layers: int) -> dict[int, int]:
    """Where each layer comes in the order of blk.0, blk.1, blk.10, blk.11, ..., blk.2, blk.20."""
    return {layer: position for position, layer in enumerate(sorted(range(layers), key=str))}


@dataclass(frozen=True, slots=True)
class LayerCounts:
    """What the rules ask of a model: layers, query heads per KV head, whether it has no output of its own.

    `large`: llama.cpp counts it among the 70B models, where `attn_v` is small enough to get more bits.
    `order` is how the quantizer counted its layers.
    """

    layers: int
    gqa: int
    tied: bool
    large: bool = False
    order: LayerOrder = "numeric"

    def is_output(self, name: str) -> bool:
        """Whether a tensor gives the output."""
        return name == OUTPUT or (self.tied and name == EMBEDDING)

    def position(self, layer: int) -> int:
        """Where the quantizer counted a layer, from 0."""
        if self.order == "numeric" or not layer < self.layers <= _MOST_LAYERS:
            return layer
        return _positions_by_name(self.layers)[layer]


def base_type(mix: str) -> str:
    """The type of most tensors of a mix: Q4_K for Q4_K_M."""
    return MIXES[mix].tensor


def is_weight(name: str, dimensions: int) -> bool:
    """Whether the quantizer touches a tensor: matrices, but no norms, routers and small convolutions."""
    kept = ("_norm.weight", "ffn_gate_inp.weight", "ssm_conv1d", "shortconv.conv.weight", "altup", "laurel")
    return dimensions > 1 and name.endswith("weight") and not any(part in name for part in kept)


def tensor_type(mix: str, model: LayerCounts, name: str, *, imatrix: bool = False) -> str:
    """The type that `name` gets in `mix` if its rows fit; `imatrix`: quantized with an importance matrix."""
    base = base_type(mix)
    if mix in _UNQUANTIZED_TYPES:
        return base
    if model.is_output(name):
        if mix in _IQ12 or mix == "IQ3_XXS":
            return "Q5_K"
        return base if base == "Q8_0" else "Q6_K"
    if name == EMBEDDING:
        return _embedding(mix, base)
    number = layer_of(name)
    if number is None:
        return base
    layer = model.position(number)
    part = name.split(".", 2)[2].removesuffix(".weight")
    if mix in _IQ12:
        return _small(mix, base, model, part, layer)
    if part in ("attn_v", "attn_qkv", "attn_kv_b"):
        chosen = _attn_v(mix, base, model, layer, imatrix=imatrix)
        return "Q5_K" if model.large and chosen in ("Q3_K", "Q4_K") else chosen
    if part in ("attn_q", "attn_k"):
        return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(mix, base)
    if part == "attn_output":
        wider = {"Q2_K": "Q3_K", "IQ3_XXS": "IQ3_S", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K", "IQ3_M": "Q4_K"}
        return wider.get(mix, base)
    if part == "ffn_down":
        return _ffn_down(mix, base, layer, model.layers, imatrix=imatrix)
    if part in ("ffn_gate", "ffn_up") and mix == "IQ3_XS":
        return "IQ3_XXS" if model.layers // 8 <= layer < 7 * model.layers // 8 else base
    return base


def fallbacks(wanted: str, row: int, *, output: bool = False) -> Collection[str]:
    """The types that stand in for `wanted` in a tensor with rows of `row` weights; empty if it fits.

    `output`: the tensor gives the output, as embeddings do where the model has no output of its own.
    """
    if row % block(wanted)[0] == 0:
        return ()
    if output:
        return ("Q8_0",)
    instead = _FALLBACK.get(wanted, ("IQ4_NL",) if wanted.startswith("IQ") else ())
    return instead if row % 32 == 0 else ("F16",)


@cache
def block(kind: str) -> tuple[int, float]:
    """Weights per block of a tensor type (rows must be a multiple), and bits per weight."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    weights, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
    return int(weights), 8 * int(size) / int(weights)


def is_quantized(kind: str) -> bool:
    """Whether a tensor type stores blocks: everything but plain floats and integers."""
    return block(kind)[0] > 1


def is_type(name: str) -> bool:
    """Whether it names a tensor type."""
    from gguf.constants import GGMLQuantizationType

    return name in GGMLQuantizationType.__members__


def layer_of(name: str) -> int | None:
    """3 for blk.3.attn_v.weight."""
    parts = name.split(".", 2)
    number = parts[1] if len(parts) == 3 and parts[0] == "blk" else ""
    return int(number) if number.isascii() and number.isdigit() and len(number) < 6 else None


def _more_bits(layer: int, layers: int) -> bool:
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def _embedding(mix: str, base: str) -> str:
    if mix in ("IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ1_M"):
        return "Q2_K"
    return "IQ3_S" if mix in ("IQ2_S", "IQ2_M", "IQ3_XXS") else base


def _small(mix: str, base: str, model: LayerCounts, part: str, layer: int) -> str:
    """IQ1 and IQ2."""
    better = "IQ3_S" if mix in ("IQ2_S", "IQ2_M") else "Q2_K"
    if part in ("attn_v", "attn_qkv", "attn_kv_b"):
        return "Q4_K" if model.gqa >= 4 else better
    if part == "ffn_down" and layer < model.layers // 8:
        return better
    if part == "attn_output":
        return {"IQ1_S": "IQ2_XXS", "IQ1_M": "IQ2_XXS", "IQ2_S": "IQ3_S", "IQ2_M": "IQ3_S"}.get(mix, base)
    return base


def _attn_v(mix: str, base: str, model: LayerCounts, layer: int, *, imatrix: bool) -> str:
    shared = model.gqa >= 4
    if mix == "Q2_K":
        return "Q4_K" if shared else "Q3_K"
    if mix == "IQ3_XXS":
        return "Q4_K" if shared else "IQ3_XXS" if imatrix else "IQ3_S"
    if mix == "IQ3_M" or (shared and mix in ("Q2_K_S", "IQ3_XS", "IQ3_S")):
        return "Q4_K"
    if mix == "Q3_K_M":
        return "Q5_K" if layer < 2 else "Q4_K"
    if mix == "Q3_K_L" or (shared and mix in ("IQ4_NL", "IQ4_XS")):
        return "Q5_K"
    if mix in ("Q4_K_M", "Q5_K_M") and _more_bits(layer, model.layers):
        return "Q6_K"
    return "Q5_K" if mix == "Q4_K_S" and layer < 4 else base


def _ffn_down(mix: str, base: str, layer: int, layers: int, *, imatrix: bool) -> str:
    first = layer < layers // 8
    if mix in ("Q4_K_M", "Q5_K_M"):
        return "Q6_K" if _more_bits(layer, layers) else base
    if mix == "Q3_K_M":
        return "Q5_K" if layer < layers // 16 else "Q4_K"
    if mix == "IQ3_XXS" and not imatrix:
        return "Q4_K" if first else "Q3_K"
    early = {"Q2_K_S": "Q4_K", "IQ3_M": "Q4_K", "Q4_K_S": "Q5_K"}
    early |= {"Q4_0": "Q4_1", "Q5_0": "Q5_1"} if imatrix else {"IQ4_NL": "Q5_K", "IQ4_XS": "Q5_K"}
    always = {"Q2_K": "Q3_K", "Q3_K_L": "Q5_K"}
    return always.get(mix) or (early.get(mix, base) if first else base)


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
    tensors whose rows do not fit their type's blocks, so that llama.cpp took another. `order` is how the
    quantizer counted the layers of a mix, None where that makes no difference.
    """

    name: str
    groups: tuple[Group, ...]
    fallbacks: tuple[str, ...]
    bits_per_weight: float
    order: LayerOrder | None = None


def found_recipe(header: GGUFHeader) -> Recipe:
    """The recipe that the tensors tell."""
    groups = tuple(group for name in GROUPS if (group := _group(name, header.tensors)).tensors)
    weights, size = sum(group.weights for group in groups), sum(group.bytes for group in groups)
    best = _best_fit(header)
    bits = 8 * size / weights if weights else 0.0
    return Recipe(_name(header, best), groups, best.fallbacks, bits, _order(header, best))


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
    made = all_claims(header, claimed, file_name)
    found = _body_name(_body(header), _best_fit(header)) if made else ""
    lines = [line for claim in made for line in _broken(header, claim, found)]
    return list(dict.fromkeys(lines))


def all_claims(
    header: GGUFHeader, claimed: Mapping[str, str | None] | str | None, file_name: str | None
) -> list[Claim]:
    """What is said of a file's quantization: by `claimed`, by its name, by general.file_type.

    Raises:
        UserError: as `contradictions`.
    """
    made, declared = claims(claimed, file_name), _declared(header)
    if declared:
        kept_by = (declared, f"pure {base_type(declared)}")
        made.append(Claim("general.file_type says", declared, kept_by))
    return made


class _Fit(NamedTuple):
    """How a recipe fits: the tensors that differ, and the names of those that fell back.

    `order` is the order of layers that was tried.
    """

    recipe: str
    different: tuple[TensorInfo, ...]
    fallbacks: tuple[str, ...]
    order: LayerOrder = "numeric"


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


def _model(header: GGUFHeader) -> LayerCounts:
    shape = geometry(header)
    layers = shape["layers"] or 0
    gqa = (shape["heads"] or 1) // (shape["kv_heads"] or shape["heads"] or 1)
    tied = all(tensor.name != OUTPUT for tensor in header.tensors)
    large = layers == _LARGE_LAYERS and header.architecture in ("llama", "qwen2")
    return LayerCounts(layers, gqa, tied, large)


def _is_mixture_of_experts(header: GGUFHeader) -> bool:
    return bool(header.count(f"{header.architecture}.expert_count"))


def _fit(recipe: str, tensors: Iterable[TensorInfo], model: LayerCounts) -> _Fit:
    """`recipe`: `pure TYPE`, or a mix.

    Of a mix the best of what llama.cpp makes: with and without an importance matrix, today's order of layers
    and the earlier one.
    """
    if recipe.startswith("pure "):
        return _fit_types(recipe, ((tensor, recipe[5:]) for tensor in tensors), model)
    kept = list(tensors)
    orders: tuple[LayerOrder, ...] = ("numeric", "by name") if model.layers > _ALIKE else ("numeric",)
    return min(
        (_fit_mix(recipe, kept, model, order, matrix) for order in orders for matrix in (False, True)),
        key=lambda fit: len(fit.different),
    )


def _fit_mix(
    recipe: str, tensors: Iterable[TensorInfo], model: LayerCounts, order: LayerOrder, matrix: bool
) -> _Fit:
    counted = replace(model, order=order)
    wanted = ((t, tensor_type(recipe, counted, t.name, imatrix=matrix)) for t in tensors)
    return _fit_types(recipe, wanted, counted)


def _fit_types(recipe: str, wanted: Iterable[tuple[TensorInfo, str]], model: LayerCounts) -> _Fit:
    different, fallen = [], []
    for tensor, kind in wanted:
        row = tensor.shape[0] if tensor.shape else 1
        if tensor.type in fallbacks(kind, row, output=model.is_output(tensor.name)):
            fallen.append(tensor.name)
        elif tensor.type != kind:
            different.append(tensor)
    return _Fit(recipe, tuple(different), tuple(fallen), model.order)


def _order(header: GGUFHeader, fit: _Fit) -> LayerOrder | None:
    """The order of layers that a mix shows; None if it is no mix, or fits as well in the other order."""
    body, model = _body(header), _model(header)
    if " mix" not in _body_name(body, fit) or model.layers <= _ALIKE:
        return None
    other: LayerOrder = "numeric" if fit.order == "by name" else "by name"
    best = min(len(_fit_mix(fit.recipe, body, model, other, matrix).different) for matrix in (False, True))
    return fit.order if best > len(fit.different) else None


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
        earlier = " (layers counted by name)" if fit.order == "by name" else ""
        return f"{fit.recipe} mix{earlier}" + (f" but for {count} tensor{'s' * (count > 1)}" if count else "")
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

"""Files whose layers were counted by name, as llama.cpp did until 2024, and what is no such file.

The two files are Qwen's own Q4_K_M of Qwen2.5-Coder-Instruct. Their tensor tables are given here as shapes
and the layers with more bits; where EVALKIT_MODELS_DIR has the files, the same is asked of them.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.synthetic import Build, Geometry, file_bytes, tensors
from evalkit.weights.gguf import GGUFHeader, TensorInfo, read_header
from evalkit.weights.memory import gguf_facts, show_facts
from evalkit.weights.recipe import LayerCounts, contradictions, found_recipe, tensor_type
from tests.gguf.synthetic_headers import header_of

SMALLER, LARGER = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
SHAPES = {
    SMALLER: Geometry(24, 896, 4864, 14, 2, 64, 151_936),
    LARGER: Geometry(28, 1536, 8960, 12, 2, 128, 151_936),
}
MORE_BITS = {
    SMALLER: (0, 1, 3, 6, 7, 8, 9, 10, 13, 16, 19, 21),
    LARGER: (0, 1, 5, 6, 7, 8, 9, 10, 13, 16, 19, 21, 24, 27),
}
# More and fewer bits in attn_v, then in ffn_down: rows of 896 fall back.
TYPES = {
    SMALLER: {"attn_v": ("Q8_0", "Q5_0"), "ffn_down": ("Q6_K", "Q4_K")},
    LARGER: {"attn_v": ("Q6_K", "Q4_K"), "ffn_down": ("Q6_K", "Q4_K")},
}
Change = Callable[[TensorInfo], str]


def described(name: str) -> GGUFHeader:
    """The file's tensor table, from its shapes and the layers with more bits."""
    changed = {
        f"blk.{layer}.{part}.weight": kinds[layer not in MORE_BITS[name]]
        for part, kinds in TYPES[name].items()
        for layer in range(SHAPES[name].layers)
    }
    return replace(header_of(Build("Q4_K_M"), SHAPES[name], changed), path=Path(name))


def real(name: str) -> GGUFHeader | None:
    folder = os.environ.get("EVALKIT_MODELS_DIR")
    file = Path(folder) / name if folder else None
    return read_header(file) if file and file.is_file() else None


def mutant(header: GGUFHeader, change: Change) -> GGUFHeader:
    return replace(header, tensors=tuple(replace(t, type=change(t)) for t in header.tensors))


def at(names: str, kind: str) -> Change:
    """`kind` for the tensors of these names, separated by blanks."""
    return lambda tensor: kind if tensor.name.removesuffix(".weight") in names.split() else tensor.type


def swapped(part: str, one: int, other: int) -> Change:
    """The types of two layers exchanged: every count stays."""

    def change(tensor: TensorInfo) -> str:
        if tensor.name not in (f"blk.{one}.{part}.weight", f"blk.{other}.{part}.weight"):
            return tensor.type
        return "Q4_K" if tensor.type == "Q6_K" else "Q6_K"

    return change


def today(part: str) -> Change:
    """One part as today's quantizer makes it, the other as the earlier one did."""
    model = LayerCounts(layers=28, gqa=6, tied=False)
    return lambda t: tensor_type("Q4_K_M", model, t.name) if f".{part}." in t.name else t.type


MUTANTS: dict[str, Change] = {
    "one layer more": at("blk.2.ffn_down", "Q6_K"),
    "one layer less": at("blk.13.ffn_down", "Q4_K"),
    "one layer of another type": at("blk.20.attn_q", "Q5_K"),
    "one projection": at("blk.0.ffn_up", "Q3_K"),
    "several layers": at("blk.5.ffn_gate blk.6.ffn_gate blk.7.ffn_gate", "Q2_K"),
    "last layer": at("blk.27.attn_output", "Q8_0"),
    "unquantized": at("blk.11.attn_k", "F16"),
    "two layers exchanged": swapped("ffn_down", 1, 2),
    "two layers of attn_v exchanged": swapped("attn_v", 24, 25),
    "attn_v counted otherwise": today("attn_v"),
    "ffn_down counted otherwise": today("ffn_down"),
    "no layer with more bits": lambda t: "Q4_K" if t.name.startswith("blk.") and t.type == "Q6_K" else t.type,
    "all layers with more bits": lambda t: "Q6_K" if "ffn_down" in t.name else t.type,
    "everything": lambda t: "Q5_K" if t.name.startswith("blk.") and len(t.shape) > 1 else t.type,
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_official_files_keep_their_claims(name: str) -> None:
    for header in filter(None, (described(name), real(name))):
        found = found_recipe(header)
        assert found.name == "Q4_K_M mix (layers counted by name)"
        assert found.order == "by name"
        assert contradictions(header, "q4_k_m", name) == []


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_described_here_is_the_file(name: str) -> None:
    header = real(name)
    if header is None:
        pytest.skip(f"EVALKIT_MODELS_DIR has no {name}")
    theirs = {tensor.name: (tensor.shape, tensor.type) for tensor in header.tensors}
    assert theirs == {tensor.name: (tensor.shape, tensor.type) for tensor in described(name).tensors}


@pytest.mark.parametrize("change", MUTANTS.values(), ids=MUTANTS)
def test_mutants_are_found(change: Change) -> None:
    for header in filter(None, (described(LARGER), real(LARGER))):
        changed = mutant(header, change)
        differ = sum(a.type != b.type for a, b in zip(changed.tensors, header.tensors, strict=True))
        assert differ
        lines = contradictions(changed, None, LARGER)
        assert lines[0].startswith("the file name says Q4_K_M: ")
        if change is MUTANTS["no layer with more bits"]:  # pure Q4_K, which may say 15
            assert len(lines) == 1
            continue
        assert lines[1].startswith("general.file_type says Q4_K_M: ")
        if differ < 4:
            assert f": {differ} of 196 tensors" in lines[0]


@pytest.mark.parametrize("number", [2, 7, 12, 14, 16, 17, 18])
def test_a_lying_file_type_is_found(number: int) -> None:
    header = described(LARGER)
    lying = replace(header, metadata={**header.metadata, "general.file_type": number})
    (line,) = contradictions(lying, None, LARGER)
    assert line.startswith("general.file_type says Q")
    assert line.endswith("found: Q4_K_M mix (layers counted by name)")


@pytest.mark.parametrize("label", ["q4_k_s", "q5_k_m", "q8_0", "q6_k", "q3_k_m", "iq4_xs", "bf16", "q4_0"])
def test_a_wrong_name_is_found(label: str) -> None:
    (line,) = contradictions(described(LARGER), None, f"qwen2.5-coder-1.5b-instruct-{label}.gguf")
    assert line.startswith(f"the file name says {label.upper()}: ")


def test_todays_files_are_told_from_earlier_ones() -> None:
    header = header_of(Build("Q4_K_M"), SHAPES[LARGER])
    assert (found_recipe(header).name, found_recipe(header).order) == ("Q4_K_M mix", "numeric")
    for uniform in ("Q8_0", "Q6_K", "Q4_0"):
        assert found_recipe(header_of(Build(uniform), SHAPES[LARGER])).order is None
    few = header_of(Build("Q4_K_M"), replace(SHAPES[LARGER], layers=10))
    assert found_recipe(few).order is None  # 0 to 9 are in one order
    early = header_of(Build("Q3_K_M"), SHAPES[LARGER])  # 0 and 1 come first in both
    assert (found_recipe(early).name, found_recipe(early).order) == ("Q3_K_M mix", None)


@pytest.mark.parametrize("mix", ["Q4_K_M", "Q5_K_M", "Q4_K_S", "IQ3_XS", "IQ3_M"])
def test_every_mix_that_counts_layers_is_known_in_both_orders(mix: str) -> None:
    shape = SHAPES[LARGER]
    model = LayerCounts(shape.layers, gqa=6, tied=False, order="by name")
    changed = {
        name: tensor_type(mix, model, name)
        for name, _, kind in tensors(shape, Build(mix))
        if name.startswith("blk.") and kind != "F32"
    }
    earlier = found_recipe(header_of(Build(mix), shape, changed))
    assert (earlier.name, earlier.order) == (f"{mix} mix (layers counted by name)", "by name")
    assert found_recipe(header_of(Build(mix), shape)).order == "numeric"


def test_bartowskis_fin_r1_comes_out_of_the_geometry() -> None:
    """SUFE-AIFLM-Lab_Fin-R1-Q4_K_M.gguf: 4,683,073,600 bytes, 141 F32, 169 Q4_K, 29 Q6_K.

    What is left of its size is the header: 640 bytes less than in the same person's Qwen2.5-7B-Instruct, of
    the same vocabulary and a longer name.
    """
    table = list(tensors(Geometry(), Build("Q4_K_M")))
    assert Counter(kind for *_, kind in table) == {"F32": 141, "Q4_K": 169, "Q6_K": 29}
    assert len(table) == 339
    size = file_bytes(Geometry(), Build("Q4_K_M"))
    assert 4_683_073_600 - size == 5_953_600
    assert 4_683_074_240 - size == 5_953_600 + 640
    assert (4_683_073_600 - size) % 32 == 0  # headers are padded to the alignment
    header = header_of(Build("Q4_K_M"), Geometry())
    assert header.file_size == size
    assert contradictions(header, None, "SUFE-AIFLM-Lab_Fin-R1-Q4_K_M.gguf") == []


@pytest.mark.parametrize(
    ("name", "file_type", "claims"),
    [
        ("qwen05.gguf", None, []),
        ("qwen05.gguf", 15, ["general.file_type says Q4_K_M"]),
        ("qwen05-q4_k_m.gguf", None, ["the file name says Q4_K_M"]),
        ("qwen05-q4_k.gguf", 15, ["the file name says Q4_K", "general.file_type says Q4_K_M"]),
    ],
)
def test_only_what_is_claimed_is_said_to_be(name: str, file_type: int | None, claims: list[str]) -> None:
    from rich.console import Console

    header = replace(described(SMALLER), path=Path(name))
    metadata = {key: value for key, value in header.metadata.items() if key != "general.file_type"}
    metadata |= {} if file_type is None else {"general.file_type": file_type}
    facts = gguf_facts(
        replace(header, metadata=metadata),
        "0" * 64,
        context=4096,
        slots=1,
        flash_attention=False,
        claimed=None,
    )
    assert facts["recipe"]["claims"] == claims
    console = Console(width=200)
    with console.capture() as captured:
        show_facts(facts, console)
    shown = [line.split(maxsplit=1) for line in captured.get().splitlines() if line.startswith("claim")]
    assert [line[1].strip() for line in shown] == (
        claims or ["none, neither by the file's name nor by general.file_type"]
    )
    assert "by name: 0, 1, 10, 11, ..., 2, 20" in captured.get()


def test_absurd_layer_counts_cost_nothing() -> None:
    header = described(LARGER)
    for layers in (0, 11, 1000, 10**6, 2**63 - 1):
        counts = {"qwen2.block_count": layers}
        started = time.perf_counter()
        found_recipe(replace(header, metadata={**header.metadata, **counts}))
        assert time.perf_counter() - started < 2

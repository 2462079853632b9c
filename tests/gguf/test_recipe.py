"""The recipe found in a file, and what is said to contradict it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from bench.synthetic import BUILDS, Build
from evalkit.files import CONFIGS
from evalkit.schema import UserError
from evalkit.weights.recipe import contradictions, found_recipe
from tests.gguf.synthetic_headers import SMALL, header_of

NARROW = replace(
    SMALL, hidden=576, feed_forward=1536, heads=9, kv_heads=3, tied=True
)  # SmolLM2-135M's widths
DOWN = "blk.{}.ffn_down.weight"


@pytest.mark.parametrize(
    ("build", "name"),
    [
        ("bf16", "BF16"),
        ("f16", "F16"),
        ("bf16-q8_0", "Q8_0, embeddings and output BF16"),
        ("f16-q8_0", "Q8_0, embeddings and output F16"),
        ("q8_0", "Q8_0"),
        ("q6_k", "Q6_K, embeddings and output Q8_0"),
        ("q4_k", "Q4_K_M mix, embeddings and output Q8_0"),
        ("q4_k-pure", "pure Q4_K, embeddings and output Q8_0"),
        ("q4_k_s", "Q4_K_S mix"),
        ("q4_0", "pure Q4_0"),
        ("iq3_m", "IQ3_M mix"),
        ("iq3_xs", "IQ3_XS mix"),
    ],
)
def test_each_file_of_the_card_is_recognised(build: str, name: str) -> None:
    assert found_recipe(header_of(BUILDS[build])).name == name


def test_standard_mixes_and_odd_ones() -> None:
    assert found_recipe(header_of(Build("Q4_K_M"))).name == "Q4_K_M mix"
    assert found_recipe(header_of(Build("Q4_0"))).name == "Q4_0"  # pure but for the output, as llama.cpp does
    assert found_recipe(header_of(Build("Q5_K_S"))).name == "Q5_K_S mix"
    early = {DOWN.format(layer): "Q4_1" for layer in range(3)}
    assert found_recipe(header_of(Build("Q4_0"), changed=early)).name == "Q4_0 with Q4_1 tensors"
    late = {DOWN.format(9): "Q4_1"}
    assert found_recipe(header_of(Build("Q4_0"), changed=late)).name == "Q4_0 with Q4_1 tensors, output Q6_K"
    one_off = {DOWN.format(9): "Q8_0"}
    assert found_recipe(header_of(Build("Q4_K_M"), changed=one_off)).name == "Q4_K_M mix but for 1 tensor"


def test_groups_add_up_and_have_their_bits() -> None:
    header = header_of(BUILDS["q6_k"])
    recipe = found_recipe(header)
    groups = {group.name: group for group in recipe.groups}
    assert sum(group.bytes for group in recipe.groups) == header.file_size
    assert sum(group.tensors for group in recipe.groups) == len(header.tensors) == 28 * 12 + 3
    assert (groups["attention"].bits_per_weight, groups["embedding"].bits_per_weight) == (6.5625, 8.5)
    assert groups["ffn"].types == {"Q6_K": 84}
    assert groups["other"].types == {"F32": 28 * 5 + 1}


def test_fallbacks_are_counted_and_contradict_nothing() -> None:
    """576-wide rows take another type; 1536-wide ones (ffn_down) do not."""
    for label in ("q6_k", "q4_k", "q4_k_s", "iq3_m", "iq3_xs"):
        header = header_of(BUILDS[label], NARROW)
        assert contradictions(header, label, f"x-{label}.gguf") == []
        fallen = found_recipe(header).fallbacks
        assert len(fallen) == 28 * 6
        assert DOWN.format(0) not in fallen
    assert found_recipe(header_of(BUILDS["iq3_xs"], NARROW)).name == "IQ3_XS mix"


def test_the_card_against_the_files_that_llama_cpp_makes() -> None:
    """What llama.cpp calls Q4_K and Q4_K_S is not "the rest Q4_K", as the card has it."""
    found = {}
    for label, build in BUILDS.items():
        config = CONFIGS / "model" / f"fin-r1-{label}.yaml"
        if config.is_file():
            claimed = OmegaConf.to_container(OmegaConf.load(config).recipe)
            found[label] = contradictions(header_of(build), claimed, f"Fin-R1-{label}.gguf")  # type: ignore[arg-type]
    assert len(found) == 11
    assert {label: lines for label, lines in found.items() if lines} == {
        "q4_k": ["claimed rest Q4_K: 28 of 196 tensors are Q6_K; found: Q4_K_M mix"],
        "q4_k_s": ["claimed rest Q4_K: 7 of 196 tensors are Q5_K; found: Q4_K_S mix"],
    }


def test_pure_q4_0_with_q4_1_tensors() -> None:
    header = header_of(BUILDS["q4_0"], changed={DOWN.format(layer): "Q4_1" for layer in range(3)})
    claimed = {"embeddings": "Q4_0", "output": "Q4_0", "rest": "Q4_0"}
    assert contradictions(header, claimed, None) == [
        "claimed rest Q4_0: 3 of 196 tensors are Q4_1; found: Q4_0 with Q4_1 tensors"
    ]
    (line,) = contradictions(header, None, "Fin-R1-q4_0.gguf")
    assert line == "the file name says Q4_0: 3 of 196 tensors are Q4_1; found: Q4_0 with Q4_1 tensors"


@pytest.mark.parametrize(
    ("file_name", "broken"),
    [
        ("Fin-R1-q4_k_s.gguf", True),
        ("Fin-R1-q4_k.gguf", False),  # llama.cpp's alias of the mix
        ("x.Q4_K_M.gguf", False),
        ("x.i1-Q4_K_M-00001-of-00003.gguf", False),
        ("fin_r1_q8_0.gguf", True),
        ("Fin-R1-bf16-q8_0.gguf", True),
        ("model.gguf", False),
        ("Llama-3-8B.gguf", False),
        ("", False),
    ],
)
def test_what_a_file_name_claims(file_name: str, broken: bool) -> None:
    header = header_of(Build("Q4_K_M"))
    assert bool(contradictions(header, None, file_name)) == broken


def test_embeddings_and_output() -> None:
    header = header_of(Build("Q6_K"))
    lines = contradictions(header, {"embeddings": "Q8_0", "output": None, "rest": "Q6_K"}, None)
    assert lines == ["claimed embeddings Q8_0: it is Q6_K"]
    assert contradictions(header, "bf16-q8_0", None)[:2] == [
        "claimed embeddings BF16: it is Q6_K",
        "claimed output BF16: it is Q6_K",
    ]
    # A shared output is the embeddings, and 576-wide ones cannot be Q6_K.
    assert contradictions(header_of(Build("Q6_K"), NARROW), {"output": "Q6_K"}, None) == []


def test_general_file_type_is_a_claim_too() -> None:
    (line,) = contradictions(header_of(Build("Q8_0"), file_type=15), None, None)
    assert line == "general.file_type says Q4_K_M: 196 of 196 tensors are Q8_0; found: pure Q8_0"
    assert contradictions(header_of(BUILDS["q4_k-pure"], file_type=15), None, None) == []
    assert contradictions(header_of(Build("Q8_0"), file_type=7 | 1024), None, None) == []
    assert contradictions(header_of(Build("Q8_0"), file_type=9_999), None, None) == []


@pytest.mark.parametrize("claimed", ["q9_z", {"rest": "Q9"}, {"middle": "Q8_0"}, {"output": "Q4_K_M"}])
def test_unknown_claims_are_the_users_error(claimed: dict[str, str] | str) -> None:
    with pytest.raises(UserError):
        contradictions(header_of(Build("Q8_0")), claimed, None)


def test_a_file_without_weights() -> None:
    header = replace(header_of(Build("Q8_0")), tensors=())
    assert found_recipe(header).name == "no weights"
    assert found_recipe(header).groups == ()

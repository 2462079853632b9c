from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from evalkit.commands.models import own_models
from evalkit.config.settings import run_settings
from evalkit.files import CONFIGS, PUBLISHED

NAMES = sorted(file.stem for file in (CONFIGS / "model").glob("*.yaml"))
KEYS = {
    "name", "title", "family", "parameters", "licence", "published_only", "path", "source", "sha256",
    "size_bytes", "size_source", "recipe", "chat_template", "max_tokens", "needs",
}  # fmt: skip
QUANTS = (
    "bf16", "f16", "bf16-q8_0", "f16-q8_0", "q8_0", "q6_k", "q4_k", "q4_k_s", "q4_0", "iq3_m", "iq3_xs",
)  # fmt: skip


def plain(file: Path) -> dict[str, Any]:
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(file)))


def composed(name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("config", [f"+model={name}", *overrides])


def backend_kind(config: DictConfig) -> str:
    return str(OmegaConf.select(config, "backend.kind"))


@pytest.mark.parametrize("name", NAMES)
def test_composes_with_the_common_keys(name: str) -> None:
    override = ["model.path=FILE"] if name in ("gguf", "replay") else []
    model: Any = OmegaConf.to_container(composed(name, *override).model, resolve=True, throw_on_missing=True)
    assert set(model) >= KEYS
    assert model["name"] == name
    assert model["source"] is None or len({"hf", "url", "pypi"} & set(model["source"])) == 1
    assert model["size_source"] in (
        {None} if model["size_bytes"] is None else {"published", "computed", "measured", "card"}
    )


def test_all_at_once_are_what_each_is_alone() -> None:
    found = own_models()
    assert found.keys() == set(NAMES) - {"gguf", "endpoint", "replay"}
    assert found == {name: run_settings([f"model={name}", "data=sample"]) for name in found}


def test_backends() -> None:
    assert backend_kind(composed("fin-r1-q4_k")) == "llama_cpp"
    assert backend_kind(composed("fin-r1")) == "vllm"
    assert backend_kind(composed("deepseek-r1")) == "remote"
    assert backend_kind(composed("replay", "model.path=FILE")) == "replay"
    assert backend_kind(composed("fin-r1", "backend=remote")) == "remote"  # the command line wins


def test_every_file_of_the_card_has_a_config() -> None:
    for quant in QUANTS:
        model = plain(CONFIGS / "model" / f"fin-r1-{quant}.yaml")
        assert model["source"] == {
            "hf": "Mungert/Fin-R1-GGUF",
            "file": f"Fin-R1-{quant}.gguf",
            "revision": "main",
        }


def test_checkpoints_and_exact_files_are_pinned() -> None:
    """A size or hash is of one commit; what only the card's words imply says so."""
    for name in NAMES:
        model = plain(CONFIGS / "model" / f"{name}.yaml")
        source = model["source"] or {}
        whole = source.get("hf") and source["file"] is None and name != "deepseek-r1"  # that one is remote
        if whole or (model["sha256"] and "hf" in source):
            assert re.fullmatch("[0-9a-f]{40}", source["revision"]), name
        if source.get("hf") == "Mungert/Fin-R1-GGUF":
            assert model["size_source"] == "card"


def test_sizes_follow_from_the_claimed_recipe() -> None:
    """Where the card states every tensor's type, the size is arithmetic."""
    bits = {"BF16": 16, "F16": 16, "Q8_0": 8.5, "Q6_K": 6.5625}
    for quant in ("bf16", "f16", "bf16-q8_0", "f16-q8_0", "q8_0", "q6_k"):
        model = plain(CONFIGS / "model" / f"fin-r1-{quant}.yaml")
        recipe, ends = model["recipe"], 544_997_376  # embedding, and output
        expected = ends * (bits[recipe["embeddings"]] + bits[recipe["output"]])
        expected += (model["parameters"] - 2 * ends) * bits[recipe["rest"]]
        assert model["size_bytes"] == pytest.approx(expected / 8, rel=0.002)


def test_published_table_matches_configs_and_its_own_averages() -> None:
    table = plain(PUBLISHED / "fin-r1-paper.yaml")
    assert len(table["rows"]) == 10
    off = {}
    for row in table["rows"]:
        assert list(row["scores"]) == list(table["benchmarks"])
        model = plain(CONFIGS / "model" / f"{row['model']}.yaml")
        assert model["title"] == row["title"]
        assert float(row["parameters"].rstrip("B")) == pytest.approx(model["parameters"] / 1e9, rel=0.1)
        average = sum(row["scores"].values()) / 5
        if abs(average - row["average"]) > 0.051:
            off[row["model"]] = (round(average, 1), row["average"])
    # Printed as published; the notes of the file say so.
    assert off == {"deepseek-r1-distill-llama-70b": (68.8, 69.2), "fin-r1-sft": (71.8, 71.9)}

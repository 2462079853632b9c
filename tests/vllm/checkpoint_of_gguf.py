"""A Hugging Face checkpoint made from a small Llama-like GGUF file: the same model for both engines.

The weights become F32, so that nothing is lost on top of what the file's quantization lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, dequantize

Tensors = dict[str, "np.ndarray[Any, Any]"]

_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_ENDS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def make_checkpoint(gguf: Path, folder: Path) -> Path:
    """Write config.json, model.safetensors, the tokenizer and its chat template to `folder`."""
    reader = GGUFReader(gguf)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    tensors = _tensors(reader, fields)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "config.json", _config(fields, tied="lm_head.weight" not in tensors))
    _write(folder / "tokenizer.json", _tokenizer(fields))
    _write(folder / "tokenizer_config.json", _tokenizer_config(fields))
    _write(folder / "generation_config.json", {"eos_token_id": fields["tokenizer.ggml.eos_token_id"]})
    _write_safetensors(folder / "model.safetensors", tensors)
    return folder


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _tensors(reader: GGUFReader, fields: Mapping[str, Any]) -> Tensors:
    heads = {
        "attn_q": fields["llama.attention.head_count"],
        "attn_k": fields["llama.attention.head_count_kv"],
    }
    found = {}
    for tensor in reader.tensors:
        words = tensor.name.removesuffix(".weight").split(".")
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if words[0] == "blk":
            if words[2] in heads:
                values = _unpermuted(values, heads[words[2]])
            found[f"model.layers.{words[1]}.{_BLOCK[words[2]]}.weight"] = values
        else:
            found[f"{_ENDS[words[0]]}.weight"] = values
    return found


def _unpermuted(values: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Undo `permute` of llama.cpp's convert_hf_to_gguf.py, which interleaves the halves of rotary heads."""
    rows, columns = values.shape
    halves = values.reshape(heads, rows // heads // 2, 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


def _config(fields: Mapping[str, Any], *, tied: bool) -> dict[str, Any]:
    heads = fields["llama.attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": fields["llama.embedding_length"],
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "head_dim": fields["llama.embedding_length"] // heads,
        "max_position_embeddings": fields["llama.context_length"],
        "rms_norm_eps": fields["llama.attention.layer_norm_rms_epsilon"],
        "rope_theta": fields["llama.rope.freq_base"],
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "tie_word_embeddings": tied,
        "torch_dtype": "float32",
    }


def _tokenizer(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Byte-level BPE with single digits: what llama.cpp calls the pre-tokenizer `smollm`."""
    assert fields["tokenizer.ggml.pre"] == "smollm"
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    special = [i for i, kind in enumerate(types) if kind == 3]  # "control" in llama.cpp
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    bytewise = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "added_tokens": [{"id": i, "content": tokens[i], **flags} for i in special],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, bytewise],
        },
        "post_processor": None,
        "decoder": bytewise,
        "model": {
            "type": "BPE",
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": fields["tokenizer.ggml.merges"],
        },
    }


def _tokenizer_config(fields: Mapping[str, Any]) -> dict[str, Any]:
    tokens = fields["tokenizer.ggml.tokens"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": fields["tokenizer.chat_template"],
        "bos_token": tokens[fields["tokenizer.ggml.bos_token_id"]],
        "eos_token": tokens[fields["tokenizer.ggml.eos_token_id"]],
        "clean_up_tokenization_spaces": False,
    }


def _write_safetensors(path: Path, tensors: Tensors) -> None:
    """The format: the header's length in 8 bytes, a JSON header, the tensors one after the other."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, values in tensors.items():
        start, end = end, end + values.nbytes
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [start, end]}
    encoded = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little"))
        file.write(encoded)
        for values in tensors.values():
            file.write(values.tobytes())


def disturbed_checkpoint(source: Path, target: Path) -> Path:
    """A copy of a checkpoint whose norms before the feed-forward layers are 20 % off, at random."""
    target.mkdir()
    for file in source.iterdir():
        if file.suffix != ".safetensors":
            (target / file.name).write_bytes(file.read_bytes())
    content = bytearray((source / "model.safetensors").read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    noise = np.random.default_rng(0)
    for name, tensor in json.loads(content[8:start]).items():
        if "post_attention_layernorm" in name:
            first, last = (start + place for place in tensor["data_offsets"])
            values = np.frombuffer(bytes(content[first:last]), dtype="<f4")
            changed = values * noise.normal(1.0, 0.2, len(values))
            content[first:last] = changed.astype("<f4").tobytes()
    (target / "model.safetensors").write_bytes(content)
    return target

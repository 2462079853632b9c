"""What deployments vary of llama.cpp beside the file: types of the KV cache, a LoRA adapter, RoPE scaling,
a draft model.

What is not set is llama.cpp's own default, and no part of a run's identity: a run without any of it is the
run that it always was. An adapter and a draft are known by their content.
"""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from evalkit.config.checks import ByFileName, Settings, WhereOn, Whole
from evalkit.config.settings import BackendSettings
from evalkit.files import sha256
from evalkit.schema import EngineUnusable, UserError
from evalkit.text import printable
from evalkit.weights.gguf import ArrayInfo, GGUFHeader, read_model

KvType = Literal["f32", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _without_default(value: object) -> object:
    """f16 is what llama.cpp takes by itself: to write it makes no other run."""
    return None if value == "f16" else value


CacheType = WhereOn[Annotated[KvType | None, BeforeValidator(_without_default)]]


class RopeSettings(Settings):
    """How positions beyond the trained context are reached; None: as the file says.

    `factor`: how many times longer (llama.cpp's --rope-scale). `base`: of the frequencies.
    `original_context`: the tokens that the model was trained for, which YaRN needs if the file does not tell.
    """

    scaling: WhereOn[Literal["none", "linear", "yarn"] | None] = None
    factor: WhereOn[_Positive | None] = None
    base: WhereOn[_Positive | None] = None
    original_context: WhereOn[Whole | None] = None


class DeploymentSettings(BackendSettings):
    """The part of configs/backend/llama_cpp.yaml that is told here."""

    cache_type_k: CacheType = None
    cache_type_v: CacheType = None
    lora: WhereOn[ByFileName[str | None]] = None
    lora_scale: WhereOn[Annotated[float, Field(allow_inf_nan=False)] | None] = None
    rope: RopeSettings = RopeSettings()
    draft: WhereOn[ByFileName[str | None]] = None
    draft_tokens: WhereOn[Whole | None] = None
    extra_args: WhereOn[list[str | int | float]] = Field(default_factory=list)

    @property
    def cache_types(self) -> tuple[str, str]:
        """Of keys and of values."""
        return self.cache_type_k or "f16", self.cache_type_v or "f16"


# What evalkit sets itself, or has a setting for.
_TAKEN = {
    "-m": "model.path", "--model": "model.path", "--host": "", "--port": "backend.port", "--api-key": "",
    "--api-key-file": "", "--parallel": "backend.slots", "-np": "backend.slots", "-c": "backend.context",
    "--ctx-size": "backend.context", "-t": "backend.threads", "--threads": "backend.threads",
    "-ngl": "backend.gpu_layers", "--gpu-layers": "backend.gpu_layers",
    "--n-gpu-layers": "backend.gpu_layers",
    "-fa": "backend.flash_attention", "--flash-attn": "backend.flash_attention",
    "-ctk": "backend.cache_type_k", "--cache-type-k": "backend.cache_type_k",
    "-ctv": "backend.cache_type_v", "--cache-type-v": "backend.cache_type_v",
    "--lora": "backend.lora", "--lora-scaled": "backend.lora", "--rope-scaling": "backend.rope.scaling",
    "--rope-scale": "backend.rope.factor", "--rope-freq-base": "backend.rope.base",
    "--yarn-orig-ctx": "backend.rope.original_context", "--chat-template": "model.chat_template",
    "--no-mmap": "backend.mmap", "--mmap": "backend.mmap", "--load-mode": "backend.mmap",
    "-lm": "backend.mmap",
    "-md": "backend.draft", "--model-draft": "backend.draft", "--spec-draft-model": "backend.draft",
    "--draft": "backend.draft_tokens", "--draft-max": "backend.draft_tokens",
    "--spec-draft-n-max": "backend.draft_tokens",
}  # fmt: skip


def check_deployment(settings: DeploymentSettings, *, binary: str | None, flash_attention: str) -> None:
    """See that these settings can be meant together.

    Raises:
        UserError: one line that says what does not fit, and what to do.
    """
    if settings.cache_type_v and flash_attention == "off" and settings.cache_type_v not in ("f32", "bf16"):
        raise UserError(
            f"backend.cache_type_v={settings.cache_type_v}: quantized values need backend.flash_attention=on"
        )
    if settings.extra_args and not binary:
        raise UserError("backend.extra_args are words for a llama-server: name it with backend.binary=PATH")
    for word in map(str, settings.extra_args):
        name = word.partition("=")[0]
        known = name.replace("_", "-")  # llama-server takes both
        if known in _TAKEN:
            instead = f"use {_TAKEN[known]}" if _TAKEN[known] else "leave it out"
            raise UserError(f"backend.extra_args: {printable(name)} is evalkit's to set: {instead}")
    if settings.lora_scale is not None and settings.lora is None:
        raise UserError("backend.lora_scale belongs to an adapter: backend.lora=FILE.gguf")
    if settings.lora is not None:
        _check_gguf("backend.lora", settings.lora, "llama.cpp's convert_lora_to_gguf.py makes it")
    if settings.draft_tokens is not None and settings.draft is None:
        raise UserError("backend.draft_tokens belong to a draft model: backend.draft=FILE.gguf")
    if settings.draft is not None:
        _check_gguf("backend.draft", settings.draft, "give a smaller model of the same family")


def _check_gguf(key: str, name: str, what_to_do: str) -> None:
    path = Path(name).expanduser()
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise UserError(f"{key}={printable(str(path))}: {error.strerror}") from error
    if magic != b"GGUF":
        raise UserError(f"{key}={printable(str(path))}: no GGUF file: {what_to_do}")


# llama.cpp's own bounds (common/speculative.cpp: SPEC_VOCAB_MAX_SIZE_DIFFERENCE): the sizes of vocabularies
# may differ by so much, as some files pad theirs.
_VOCABULARY_DIFFERENCE = 128


def check_draft(draft: GGUFHeader, model: GGUFHeader) -> None:
    """See that a draft model speaks the model's tokens, so that it can propose any.

    Raises:
        UserError: it has another vocabulary.
    """
    (kind, size), (its_kind, its_size) = map(_vocabulary, (draft, model))
    # What a file does not tell, llama.cpp may know.
    other_kind = kind and its_kind and kind != its_kind
    if other_kind or (size and its_size and abs(size - its_size) > _VOCABULARY_DIFFERENCE):
        raise UserError(
            f"backend.draft={printable(draft.path.name)}: it has another vocabulary than "
            f"{printable(model.path.name)}: give a smaller model of the same family"
        )


def _vocabulary(header: GGUFHeader) -> tuple[str | None, int | None]:
    """The kind of tokenizer and how many tokens it has."""
    kind, tokens = (header.metadata.get(f"tokenizer.ggml.{name}") for name in ("model", "tokens"))
    return kind if isinstance(kind, str) else None, tokens.length if isinstance(tokens, ArrayInfo) else None


def draft_header(settings: DeploymentSettings) -> GGUFHeader | None:
    """The header of the draft model; None without one.

    Raises:
        UserError: it cannot be read.
    """
    return read_model(Path(settings.draft).expanduser()) if settings.draft else None


def deployment_identity(settings: DeploymentSettings) -> dict[str, Any]:
    """What of it decides the answers; without what is llama.cpp's default."""
    lora = Path(settings.lora).expanduser() if settings.lora else None
    draft = Path(settings.draft).expanduser() if settings.draft else None
    varied = {
        "cache_type_k": settings.cache_type_k,
        "cache_type_v": settings.cache_type_v,
        "lora_sha256": sha256(lora) if lora else None,
        "lora_scale": settings.lora_scale if lora else None,
        "rope": {name: value for name, value in settings.rope.model_dump().items() if value is not None},
        "draft_sha256": sha256(draft) if draft else None,
        "draft_tokens": settings.draft_tokens if draft else None,
        "extra_args": list(settings.extra_args),
    }
    return {name: value for name, value in varied.items() if value not in (None, {}, [])}


def deployment_options(settings: DeploymentSettings) -> dict[str, Any]:
    """The same for the wheel's child, as JSON: see `evalkit.children.llama_cpp`."""
    lora = str(Path(settings.lora).expanduser().absolute()) if settings.lora else None
    scale = 1.0 if settings.lora_scale is None else settings.lora_scale
    return {
        "cache_type_k": settings.cache_type_k,
        "cache_type_v": settings.cache_type_v,
        "lora": lora,
        "lora_scale": scale,
        "draft": str(Path(settings.draft).expanduser().absolute()) if settings.draft else None,
        "draft_tokens": settings.draft_tokens,
        **{f"rope_{name}": value for name, value in settings.rope.model_dump().items()},
    }


def deployment_arguments(settings: DeploymentSettings) -> list[str]:
    """And for a llama-server's command line."""
    rope = settings.rope
    options = {
        "--cache-type-k": settings.cache_type_k,
        "--cache-type-v": settings.cache_type_v,
        "--rope-scaling": rope.scaling,
        "--rope-scale": rope.factor,
        "--rope-freq-base": rope.base,
        "--yarn-orig-ctx": rope.original_context,
    }
    words = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    if settings.lora:
        path = str(Path(settings.lora).expanduser())
        scale = settings.lora_scale
        words += ["--lora", path] if scale is None else ["--lora-scaled", f"{path}:{scale}"]
    return [*words, *map(str, settings.extra_args)]


def draft_arguments(settings: DeploymentSettings, gpu_layers: int, binary: str | None) -> list[str]:
    """The same for the draft model, on as many layers of a GPU as the model.

    Args:
        binary: whose words these are: llama.cpp renamed them in 2026; None: those of the wheel's version.
    """
    if settings.draft is None:
        return []
    today = binary is None or "--spec-type" in _help_of(binary)
    words = ["--model-draft", str(Path(settings.draft).expanduser())]
    words += ["--spec-type", "draft-simple"] if today else []
    if settings.draft_tokens is not None:
        words += ["--spec-draft-n-max" if today else "--draft-max", str(settings.draft_tokens)]
    if gpu_layers >= 0:
        words += ["--n-gpu-layers-draft", str(gpu_layers)]
    return words


def loading_words(binary: str, *, mmap: bool) -> list[str]:
    """How a llama-server is told to read the file and not to map it: newer ones know no `--no-mmap`."""
    if mmap:
        return []
    return ["--load-mode", "none"] if "--load-mode" in _help_of(binary) else ["--no-mmap"]


@functools.cache
def _help_of(binary: str) -> str:
    try:
        shown = subprocess.run([binary, "--help"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineUnusable(f"{binary} --help: {error}") from error
    return shown.stdout + shown.stderr

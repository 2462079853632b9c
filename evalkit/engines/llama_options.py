"""What deployments vary of llama.cpp beside the file: types of the KV cache, a LoRA adapter, RoPE scaling.

What is not set is llama.cpp's own default, and no part of a run's identity: a run without any of it is the
run that it always was. An adapter is known by its content.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from evalkit.config.checks import ByFileName, Settings, WhereOn, Whole
from evalkit.config.settings import BackendSettings
from evalkit.files import sha256
from evalkit.schema import UserError
from evalkit.text import printable

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
    "--no-mmap": "backend.mmap", "--mmap": "backend.mmap",
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
        _check_adapter(Path(settings.lora).expanduser())


def _check_adapter(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise UserError(f"backend.lora={printable(str(path))}: {error.strerror}") from error
    if magic != b"GGUF":
        raise UserError(
            f"backend.lora={printable(str(path))}: no GGUF file: llama.cpp's convert_lora_to_gguf.py makes it"
        )


def deployment_identity(settings: DeploymentSettings) -> dict[str, Any]:
    """What of it decides the answers; without what is llama.cpp's default."""
    lora = Path(settings.lora).expanduser() if settings.lora else None
    varied = {
        "cache_type_k": settings.cache_type_k,
        "cache_type_v": settings.cache_type_v,
        "lora_sha256": sha256(lora) if lora else None,
        "lora_scale": settings.lora_scale if lora else None,
        "rope": {name: value for name, value in settings.rope.model_dump().items() if value is not None},
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

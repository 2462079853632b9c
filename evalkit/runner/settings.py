"""Checking a composed config before anything is computed, and reading typed values out of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from evalkit.backends.engine import Sampling
from evalkit.errors import UserError, nearest

SampleBy = Literal["item", "group"]


def check(config: Mapping[str, Any]) -> None:
    """Raises UserError, naming the setting, if a value cannot be meant."""
    if not isinstance(config.get("model"), Mapping) or "name" not in config["model"]:
        raise UserError("no model given: add +model=NAME (`evalkit models` lists them)")
    if not config.get("benchmark"):
        raise UserError("no benchmark given: benchmark=NAME or benchmark=[NAME,NAME]")
    _whole("limit", config["limit"], least=1, optional=True)
    _whole("seed", config["seed"], least=0)
    _one_of("sampling", config["sampling"], ("item", "group"))
    for name, benchmark in config["benchmark"].items():
        if not isinstance(benchmark, Mapping) or "name" not in benchmark:
            raise UserError(f"benchmark.{name}: no such benchmark (`evalkit benchmarks` lists them)")
        _whole(f"benchmark.{name}.limit", benchmark.get("limit"), least=1, optional=True)
    _check_protocol(config["protocol"])
    _check_backend(config["backend"])
    if config["model"].get("published_only"):
        raise UserError(
            f"{config['model']['title']}: its weights were not released, only its published row exists: "
            "it cannot be run"
        )


def _check_protocol(protocol: Mapping[str, Any]) -> None:
    _number("protocol.temperature", protocol["temperature"], 0, 5)
    _number("protocol.top_p", protocol["top_p"], 0, 1)
    _number("protocol.min_p", protocol["min_p"], 0, 1)
    _number("protocol.repetition_penalty", protocol["repetition_penalty"], 0, 10)
    _whole("protocol.top_k", protocol["top_k"], least=0)
    _whole("protocol.max_tokens", protocol["max_tokens"], least=1)
    _whole("protocol.samples", protocol["samples"], least=1)
    if protocol["temperature"] == 0 and protocol["samples"] > 1:
        raise UserError("protocol.samples: at temperature 0 all samples are the same answer: leave it at 1")


def _check_backend(backend: Mapping[str, Any]) -> None:
    if "slots" in backend:
        _whole("backend.slots", backend["slots"], least=1)
    for name in ("context", "threads", "port"):
        _whole(f"backend.{name}", backend.get(name), least=1, optional=True)
    if "flash_attention" in backend:
        # YAML reads a bare off/on as a truth value.
        _one_of("backend.flash_attention", backend["flash_attention"], ("off", "on", "auto", False, True))


def _whole(name: str, value: object, least: int, optional: bool = False) -> None:
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        allowed = f"a whole number, {least} or more" + (", or null" if optional else "")
        raise UserError(f"{name}={value}: must be {allowed}")


def _number(name: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UserError(f"{name}={value}: must be a number from {low} to {high}")


def _one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        words = [word for word in allowed if isinstance(word, str)]
        raise UserError(f"{name}={value}: must be {' or '.join(words)}.{nearest(str(value), words)}")


def max_tokens(config: Mapping[str, Any]) -> int:
    """The longest answer in tokens: the protocol's, or the model's own cap where that is lower."""
    limit: int = config["protocol"]["max_tokens"]
    cap = config["model"].get("max_tokens")
    return min(limit, cap) if cap else limit


def sampling(config: Mapping[str, Any]) -> Sampling:
    """The sampling of the run; its seed is the base of every request's own."""
    protocol = config["protocol"]
    return Sampling(
        temperature=float(protocol["temperature"]),
        top_p=float(protocol["top_p"]),
        top_k=protocol["top_k"],
        min_p=float(protocol["min_p"]),
        repetition_penalty=float(protocol["repetition_penalty"]),
        max_tokens=max_tokens(config),
        seed=config["seed"],
    )

"""The judge that a config names: its own model and backend, and how it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evalkit.config import compose, to_dict
from evalkit.errors import UserError, nearest
from evalkit.judge.case import Language
from evalkit.judge.contract import Form

When = Literal["undecided", "always", "never"]
Reasoning = Literal["criteria", "holistic"]

_CHOICES: dict[str, tuple[str | None, ...]] = {
    "when": ("undecided", "always", "never"),
    "reasoning": (None, "criteria", "holistic"),
    "contract": ("auto", "json", "boxed"),
    "language": ("auto", "en", "zh"),
}
_SHARES = ("threshold", "max_false_positive", "max_false_negative")
_COUNTS = ("attempts", "canaries")
_OPTIONAL_COUNTS = ("max_tokens", "max_tokens_total")


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """Fields as in configs/judge/_common.yaml. ``model`` and ``backend`` are composed configs of the judge's
    own model; they may name private hosts, so neither is shown or recorded: `as_json` is."""

    model: dict[str, Any] = field(repr=False)
    backend: dict[str, Any] = field(repr=False)
    when: When
    reasoning: Reasoning | None
    contract: Form | Literal["auto"]
    language: Language | Literal["auto"]
    attempts: int
    max_tokens: int | None
    threshold: float
    canaries: int
    max_false_positive: float
    max_false_negative: float
    force: bool
    max_cost: float | None
    max_tokens_total: int | None

    def as_json(self) -> dict[str, Any]:
        """For records: without the model's and the backend's settings."""
        kept = {name: getattr(self, name) for name in self.__slots__ if name not in ("model", "backend")}
        return {"model": self.model["name"], **kept}


def settings_of(overrides: Sequence[str]) -> JudgeSettings:
    """The judge of command-line settings such as judge=local judge.model=smollm2-135m.

    Raises:
        UserError: none is given, or a setting is wrong.
    """
    if not any(override.lstrip("+").startswith("judge=") for override in overrides):
        raise UserError(
            "no judge given: add judge=local judge.model=NAME, or judge=endpoint judge.base_url=URL"
        )
    return read_settings(to_dict(compose(overrides))["judge"])


def read_settings(judge: Mapping[str, Any]) -> JudgeSettings:
    """The judge of a composed `judge` group.

    Raises:
        UserError: a value cannot be meant, or the judge's model cannot be composed.
    """
    _check(judge)
    config = to_dict(
        compose([f"+model={judge['model']}", "data=sample", *_endpoint(judge), *judge["overrides"]])
    )
    model, backend = config["model"], config["backend"]
    if model.get("published_only"):
        raise UserError(f"judge.model={model['name']}: its weights were not released: it cannot judge")
    if backend["kind"] == "replay":
        raise UserError(f"judge.model={model['name']}: recorded outputs cannot judge: name a model")
    if judge["max_cost"] is not None:
        backend["max_cost"] = _ceiling(judge["max_cost"], backend)
    names = [name for name in JudgeSettings.__slots__ if name not in ("model", "backend")]
    return JudgeSettings(model=model, backend=backend, **{name: judge[name] for name in names})


def _endpoint(judge: Mapping[str, Any]) -> list[str]:
    """What configs/judge/endpoint.yaml asks for, as settings of the remote backend."""
    given = {
        "backend.base_url": judge.get("base_url"),
        "backend.api_model": judge.get("name"),
        "model.name": judge.get("name"),
        "backend.api_key_env": judge.get("api_key_env"),
    }
    return [f"{key}={_quoted(str(value))}" for key, value in given.items() if value is not None]


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _ceiling(max_cost: float, backend: Mapping[str, Any]) -> float:
    prices = backend.get("prices") or {}
    if prices.get("input") is None or prices.get("output") is None:
        raise UserError(
            "judge.max_cost needs the judge's prices per million tokens: "
            "\"judge.overrides=['backend.prices.input=0.5','backend.prices.output=1.5']\""
        )
    return max_cost


def _check(judge: Mapping[str, Any]) -> None:
    for name, allowed in _CHOICES.items():
        if judge[name] not in allowed:
            known = ["null" if each is None else each for each in allowed]
            hint = nearest(str(judge[name]), known)
            raise UserError(f"judge.{name}={judge[name]}: must be {' or '.join(known)}.{hint}")
    for name in _SHARES:
        if not _number(judge[name]) or not 0 <= judge[name] <= 1:
            raise UserError(f"judge.{name}={judge[name]}: must be a number from 0 to 1")
    for name in (*_COUNTS, *_OPTIONAL_COUNTS):
        value = judge[name]
        if value is None and name in _OPTIONAL_COUNTS:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"judge.{name}={value}: must be a whole number, 1 or more")
    if judge["max_cost"] is not None and not (_number(judge["max_cost"]) and judge["max_cost"] > 0):
        raise UserError(f"judge.max_cost={judge['max_cost']}: must be an amount of money above 0, or null")
    if not isinstance(judge["force"], bool):
        raise UserError(f"judge.force={judge['force']}: must be true or false")
    if not isinstance(judge["overrides"], list):
        raise UserError("judge.overrides: give a list: \"judge.overrides=['backend.slots=2']\"")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

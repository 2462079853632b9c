"""The judge that a config names: its own model and backend, and how it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny

from evalkit.config.checks import Private, Settings, Share, Whole, read
from evalkit.config.overrides import compose, to_dict
from evalkit.config.settings import BackendSettings, ModelSettings, read_run
from evalkit.schema import Form, Language, Reasoning, UserError, When


class JudgeOptions(Settings):
    """configs/judge/_common.yaml, where each is explained."""

    when: When
    audit: Whole
    reasoning: Reasoning | None
    contract: Form | Literal["auto"]
    language: Language | Literal["auto"]
    attempts: Whole
    max_tokens: Whole | None
    threshold: Share
    canaries: Whole
    max_false_positive: Share
    max_false_negative: Share
    force: bool
    max_cost: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    max_tokens_total: Whole | None


class JudgeBlock(JudgeOptions):
    """The composed `judge` group. The last three are `endpoint`'s."""

    model: str
    overrides: list[str]
    base_url: Private[str | None] = None
    name: str | None = None
    api_key_env: Private[str | None] = None


class JudgeSettings(JudgeOptions):
    """A judge with the settings of its own model and backend.

    These may name private hosts, so neither is shown or recorded: `as_json` is.
    """

    model: Annotated[ModelSettings, Field(repr=False)]
    backend: Annotated[SerializeAsAny[BackendSettings], Field(repr=False)]

    def as_json(self) -> dict[str, Any]:
        """For records: without the model's and the backend's settings."""
        return {"model": self.model.name, **self.model_dump(exclude={"model", "backend"})}


def judge_settings(overrides: Sequence[str]) -> JudgeSettings:
    """The judge of command-line settings such as judge=local judge.model=smollm2-135m.

    Raises:
        UserError: none is given, or a setting is wrong.
    """
    if not any(override.lstrip("+").startswith("judge=") for override in overrides):
        raise UserError(
            "no judge given: add judge=local judge.model=NAME, or judge=endpoint judge.base_url=URL"
        )
    return read_judge_settings(to_dict(compose(overrides))["judge"])


def read_judge_settings(composed: Mapping[str, Any]) -> JudgeSettings:
    """The judge of a composed `judge` group.

    Raises:
        UserError: a value cannot be meant, or the judge's model cannot be composed.
    """
    block = read(JudgeBlock, composed, "judge")
    run = read_run(
        to_dict(compose([f"+model={block.model}", "data=sample", *_endpoint(block), *block.overrides]))
    )
    model, backend = run.model, run.backend
    if model.published_only:
        raise UserError(f"judge.model={model.name}: its weights were not released: it cannot judge")
    if backend.is_recorded:
        raise UserError(f"judge.model={model.name}: recorded outputs cannot judge: name a model")
    if block.max_cost is not None:
        backend = _with_ceiling(backend, block.max_cost)
    options = block.model_dump(include=set(JudgeOptions.model_fields))
    return JudgeSettings(model=model, backend=backend, **options)


def _endpoint(block: JudgeBlock) -> list[str]:
    """What configs/judge/endpoint.yaml asks for, as settings of the remote backend."""
    given = {
        "backend.base_url": block.base_url,
        "backend.api_model": block.name,
        "model.name": block.name,
        "backend.api_key_env": block.api_key_env,
    }
    return [f"{key}={_quoted(value)}" for key, value in given.items() if value is not None]


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _with_ceiling(backend: BackendSettings, max_cost: float) -> BackendSettings:
    prices = getattr(backend, "prices", None)
    if prices is None or prices.input is None or prices.output is None:
        raise UserError(
            "judge.max_cost needs the judge's prices per million tokens: "
            "\"judge.overrides=['backend.prices.input=0.5','backend.prices.output=1.5']\""
        )
    return backend.model_copy(update={"max_cost": max_cost})

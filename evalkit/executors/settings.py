"""The `executor` block of a config, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.errors import UserError, nearest

_KINDS = ("local", "ray")


@dataclass(frozen=True, slots=True)
class RaySettings:
    """See configs/executor/ray.yaml. ``cpus`` and ``gpus`` are of one worker, ``patience`` is in seconds."""

    address: str | None
    workers: int | None
    cpus: float
    gpus: float
    pending: int
    patience: float


def executor_kind(config: Mapping[str, Any]) -> str:
    """`local` (also without an executor in the config) or `ray`.

    Raises:
        UserError: there is no such executor.
    """
    executor = config.get("executor")
    if executor is None:
        return "local"
    kind = str(executor.get("kind")) if isinstance(executor, Mapping) else str(executor)
    if kind not in _KINDS or not isinstance(executor, Mapping):
        raise UserError(f"no executor '{kind}': +executor=local or +executor=ray.{nearest(kind, _KINDS)}")
    return kind


def ray_settings(config: Mapping[str, Any]) -> RaySettings:
    """The settings of `executor=ray`.

    Raises:
        UserError: naming the setting, if a value cannot be meant.
    """
    executor = config["executor"]
    if config["backend"].get("port"):
        raise UserError(
            "backend.port: workers on one machine cannot share it: leave it out with executor=ray"
        )
    if config["backend"].get("max_cost") is not None:
        raise UserError(
            "backend.max_cost: each worker on Ray would have a ceiling of its own: use executor=local, which "
            "sends as many requests at once as backend.slots says"
        )
    resources = executor["resources"]
    unknown = sorted(set(resources) - {"num_cpus", "num_gpus"})
    if unknown:
        raise UserError(f"executor.resources.{unknown[0]}: a worker's resources are num_cpus and num_gpus")
    workers = executor["workers"]
    return RaySettings(
        address=executor["address"],
        workers=None if workers is None else int(_number("workers", workers, least=1, whole=True)),
        cpus=_number("resources.num_cpus", resources.get("num_cpus", 0)),
        gpus=_number("resources.num_gpus", resources.get("num_gpus", 0)),
        pending=int(_number("pending", executor["pending"], least=1, whole=True)),
        patience=_number("patience", executor["patience"], least=1),
    )


def _number(name: str, value: object, least: float = 0, whole: bool = False) -> float:
    kind = "a whole number" if whole else "a number"
    right = isinstance(value, int) if whole else isinstance(value, int | float)
    if isinstance(value, bool) or not right or not least <= value < float("inf"):  # type: ignore[operator]
        raise UserError(f"executor.{name}={value}: must be {kind}, {least} or more")
    return float(value)  # type: ignore[arg-type]

"""From the command line of a sweep to one run config per member."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from evalkit.config import compose, explain, normalized, to_dict
from evalkit.errors import UserError, nearest
from evalkit.runner.folder import material
from evalkit.sweep.settings import Settings, settings_of


@dataclass(frozen=True, slots=True)
class Member:
    """A member to run: the composed config of its run."""

    name: str
    title: str
    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole sweep before anything has run. `folder` is where its results go."""

    settings: Settings
    members: tuple[Member, ...]
    folder: Path


def plan(overrides: Sequence[str]) -> Plan:
    """What `evalkit sweep OVERRIDES` means. Any override may be a Hydra list: `+model=A,B`.

    Raises:
        UserError: nothing to sweep, fewer than two members, two members that are the same run, or an override
            that is wrong.
    """
    overrides = normalized(overrides)
    if not any(override.startswith("+sweep=") for override in overrides):
        overrides = ["+sweep=custom", *overrides]
    combinations = list(_combinations(overrides))
    whole = to_dict(compose([o for o in combinations[0].overrides if not o.startswith("+model=")]))
    settings = settings_of(whole["sweep"])
    members = tuple(_members(settings, combinations))
    _check(settings, members)
    return Plan(settings, members, _folder(settings, whole, members))


@dataclass(frozen=True, slots=True)
class _Combination:
    overrides: tuple[str, ...]
    varying: tuple[str, ...]


def _combinations(overrides: Sequence[str]) -> Iterator[_Combination]:
    """Hydra's sweep syntax, multiplied out in order."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UserError(explain(error, overrides)) from error
    choices: list[list[str]] = []
    for given in parsed:
        if given.is_sweep_override():
            key = given.get_key_element()
            choices.append([f"{key}={value}" for value in given.sweep_string_iterator()])
        else:
            choices.append([str(given.input_line)])
    for chosen in product(*choices):
        varying = tuple(word for word, among in zip(chosen, choices, strict=True) if len(among) > 1)
        yield _Combination(chosen, varying)


def _members(settings: Settings, combinations: Sequence[_Combination]) -> Iterator[Member]:
    for combination in combinations:
        own = [o for o in combination.overrides if not o.startswith(("+sweep=", "sweep."))]
        for config in _configs(settings, own):
            rest = [word for word in combination.varying if not word.startswith("+model=")]
            name = " ".join([config["model"]["name"], *rest])
            title = " ".join([config["model"]["title"], *rest])
            yield Member(name, title, config)


def _configs(settings: Settings, overrides: Sequence[str]) -> Iterator[dict[str, Any]]:
    shared = [*settings.overrides, *overrides, "probe=true"]
    if settings.ladder:
        from evalkit.sweep.ladder import ladder_configs

        yield from ladder_configs(settings, shared)
    elif settings.members:
        for model in settings.members:
            yield to_dict(compose([f"+model={model}", *shared]))
    elif any(override.startswith("+model=") for override in overrides):
        yield to_dict(compose(shared))
    else:
        raise UserError(
            "nothing to sweep over: give +sweep=NAME, sweep.members=[A,B] or +model=A,B "
            "(`evalkit models` lists them)"
        )


def _check(settings: Settings, members: Sequence[Member]) -> None:
    if len(members) < 2:
        raise UserError("a sweep compares at least two members: name more, or use `evalkit run`")
    if any(member.config["run_dir"] for member in members):
        raise UserError("run_dir is one run's folder: a sweep takes sweep.dir=PATH and results_dir=PATH")
    for name, count in Counter(member.name for member in members).items():
        if count > 1:
            raise UserError(f"{count} members of the sweep are called {name}: give them different names")
    _check_same_questions(members)
    names = [member.name for member in members]
    if settings.reference is not None and settings.reference not in names:
        raise UserError(
            f"sweep.reference: no member '{settings.reference}'.{nearest(settings.reference, names)} "
            f"Members: {', '.join(names)}"
        )


def _check_same_questions(members: Sequence[Member]) -> None:
    """Whatever decides what is asked must be the same for all: only then are answers compared in pairs."""
    first = dict(_questions(members[0]))
    for member in members[1:]:
        for key, value in _questions(member):
            if first.get(key) != value:
                raise UserError(
                    f"members must answer the same questions: {key} is {first.get(key)!r} for "
                    f"{members[0].name} and {value!r} for {member.name}: vary models or backend settings"
                )


def _questions(member: Member) -> list[tuple[str, Any]]:
    asked = ("benchmark", "data", "protocol", "limit", "seed", "sampling")
    return [(k, v) for k, v in material(member.config).items() if k.partition(".")[0] in asked]


def _folder(settings: Settings, whole: Mapping[str, Any], members: Sequence[Member]) -> Path:
    if settings.dir:
        return Path(settings.dir)
    identity = json.dumps([material(member.config) for member in members], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    limit = whole["limit"] if whole["limit"] is not None else "all"
    name = f"{whole['protocol']['name']}-{whole['data']['source']}-{limit}-{digest}"
    return Path(whole["results_dir"]) / "sweeps" / settings.name / name

"""From the command line of a sweep to the settings of one run per member.

Members may be files that do not exist yet: the recipes of a ladder, built from one model's file when needed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.config.checks import identity
from evalkit.config.judge import JudgeSettings, read_judge_settings
from evalkit.config.overrides import compose, explain, names_benchmarks, normalized, to_dict
from evalkit.config.settings import (
    OWN_FILE,
    ModelSettings,
    RayExecutor,
    RecipeSettings,
    RunSettings,
    SourceSettings,
    SweepSettings,
    read_run,
    read_sweep,
    run_settings,
)
from evalkit.config.words import file_label, read_words
from evalkit.run.folder import path_of
from evalkit.run.named import chosen
from evalkit.run.runner import without_unscored
from evalkit.schema import UserError, nearest
from evalkit.text import printable

if TYPE_CHECKING:
    from evalkit.weights.quantize import Recipe


@dataclass(frozen=True, slots=True)
class PlannedMember:
    """A member to run, with the settings of its run."""

    name: str
    title: str
    settings: RunSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole sweep before anything has run. `folder` is where its results go, `judge` is for free text.

    `left_out`: titles of benchmarks of the default set that nothing would score without a judge.
    """

    settings: SweepSettings
    members: tuple[PlannedMember, ...]
    folder: Path
    judge: JudgeSettings | None = None
    left_out: tuple[str, ...] = ()


def plan(arguments: Sequence[str]) -> Plan:
    """What `evalkit sweep ARGUMENTS` means: models, a sweep's name, and settings, each perhaps a list.

    Raises:
        UserError: nothing to sweep, fewer than two members, two members that are the same run, or a word
            that is wrong.
    """
    words = read_words("sweep", arguments)
    if _has_paths(words.settings):  # `model=gguf model.path=A,B`: the files are the members
        words = replace(words, models=tuple(model for model in words.models if model != OWN_FILE))
    overrides = normalized([f"+sweep={words.sweep or 'custom'}", *words.settings])
    _check_apart(words.models)
    combinations = list(_combinations(overrides))
    of_sweep = [o for o in combinations[0].overrides if not o.lstrip("+").startswith(("model=", "model."))]
    whole = to_dict(compose(of_sweep))
    settings = read_sweep(whole["sweep"])
    members = _by_place(list(_members(settings, words.models, combinations)))
    judge = read_judge_settings(whole["judge"]) if whole.get("judge") else None
    left_out: list[str] = []
    if judge is None and not names_benchmarks([*overrides, *settings.overrides]):
        shown = [(member, *without_unscored(member.settings)) for member in members]
        members = [replace(member, settings=changed) for member, changed, _ in shown]
        left_out = shown[0][2] if shown else []
    settings = settings.model_copy(update={"reference": _reference(settings.reference, members)})
    _check(members)
    _check_stop(settings, members)
    members = list(_apart(members))
    return Plan(settings, tuple(members), _folder(settings, whole, members), judge, tuple(left_out))


def _check_apart(models: Sequence[str]) -> None:
    """Raises UserError if a model is named twice, also by two ways to one file."""
    seen: dict[str, str] = {}
    for model in models:
        place = Path(model).expanduser().absolute()
        key = os.path.normpath(place) if place.suffix == ".gguf" and "://" not in model else model
        other = seen.setdefault(key, model)
        if other is not model:
            raise UserError(f"{printable(other)} and {printable(model)} are the same: leave one of them out")


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
        raise UserError(explain(error, overrides, sweeping=True)) from error
    choices: list[list[str]] = []
    for given in parsed:
        if given.is_sweep_override():
            key = given.get_key_element()
            choices.append([f"{key}={value}" for value in given.sweep_string_iterator()])
        else:
            choices.append([str(given.input_line)])
    for picked in product(*choices):
        varying = tuple(word for word, among in zip(picked, choices, strict=True) if len(among) > 1)
        yield _Combination(picked, varying)


def _members(
    settings: SweepSettings, models: Sequence[str], combinations: Sequence[_Combination]
) -> Iterator[PlannedMember]:
    """The sweep's own members under each combination, then each model of the command line under each."""
    for combination in combinations:
        if any(word.lstrip("+").startswith(("judge=", "judge.")) for word in combination.varying):
            raise UserError("a sweep has one judge: compare judges with `evalkit judge calibrate`")
        own = _of_runs(combination)
        for run in _runs(settings, own, bool(models)):
            yield _member(run, combination)
    for model in models:
        shared = ["probe=true", *settings.overrides]
        choice = chosen(model, None, [*shared, *_of_runs(combinations[0])])
        for combination in combinations:
            yield _member(run_settings([*choice, *shared, *_of_runs(combination)]), combination)


def _has_paths(overrides: Sequence[str]) -> bool:
    return any(override.lstrip("+").startswith("model.path=") for override in overrides)


def _of_runs(combination: _Combination) -> list[str]:
    return [o for o in combination.overrides if not o.startswith(("+sweep=", "sweep."))]


def _member(run: RunSettings, combination: _Combination) -> PlannedMember:
    labelled = run.model.path is not None and run.model.name == file_label(run.model.path)
    rest = [word for word in combination.varying if not (labelled and _has_paths([word]))]
    name, title = " ".join([run.model.name, *rest]), " ".join([run.model.title, *rest])
    return PlannedMember(name, title, run)


def _runs(settings: SweepSettings, overrides: Sequence[str], others: bool) -> Iterator[RunSettings]:
    """The runs of the sweep's own members; `others`: there are more than its own."""
    shared = ["probe=true", *settings.overrides, *overrides]
    if settings.ladder or settings.members:
        for model in settings.members:
            yield run_settings([*chosen(model, None, shared), *shared])
        if settings.ladder:
            yield from ladder_runs(settings, shared)
    elif _has_paths(overrides) and not others:
        yield run_settings([f"+model={OWN_FILE}", *shared])
    elif not others:
        raise UserError(
            "nothing to sweep over: name files or models, evalkit sweep A.gguf B.gguf, or a sweep, "
            "evalkit sweep fin-r1-quants"
        )


def _by_place(members: Sequence[PlannedMember]) -> list[PlannedMember]:
    """Two files of one name are told apart by the folder, or the repository's owner, that they lie in."""
    for place in (_parent, None):
        count = Counter(member.name for member in members)
        numbers: Counter[str] = Counter()
        found = []
        for member in members:
            numbers[member.name] += 1
            parent = place(member) if place else str(numbers[member.name])
            same = count[member.name] > 1 and parent and _is_own_file(member)
            found.append(_renamed(member, parent, bool(place)) if same and parent else member)
        members = found
    return list(members)


def _is_own_file(member: PlannedMember) -> bool:
    model = member.settings.model
    place = model.path or (model.source and (model.source.file or model.source.url))
    return bool(place) and model.family is None and model.parameters is None


def _parent(member: PlannedMember) -> str | None:
    source, path = member.settings.model.source, member.settings.model.path
    if path:
        return Path(path).expanduser().absolute().parent.name
    return source.hf.partition("/")[0] if source and source.hf else None


def _renamed(member: PlannedMember, what: str, before: bool) -> PlannedMember:
    def named(text: str) -> str:
        return f"{what}-{text}" if before else f"{text}-{what}"

    model = member.settings.model
    model = model.model_copy(update={"name": named(model.name), "title": named(model.title)})
    settings = member.settings.model_copy(update={"model": model})
    return PlannedMember(named(member.name), named(member.title), settings)


def _reference(given: str | None, members: Sequence[PlannedMember]) -> str | None:
    """The name of the member that `reference=` means: by its name, its file, or the stem of that.

    Raises:
        UserError: it is none of them, or could be several.
    """
    names = [member.name for member in members]
    if given is None or given in names:
        return given
    place = str(Path(given).expanduser().absolute())
    found = [m.name for m in members if _file_of(m) in (given, place)]
    found = found or [m.name for m in members if file_label(given) in (m.name, file_label(_file_of(m) or ""))]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"reference={printable(given)} could be {', '.join(found)}: give one of these")
    raise UserError(
        f"reference={printable(given)}: no member is called that.{nearest(given, names)} "
        f"Members: {', '.join(names)}"
    )


def _file_of(member: PlannedMember) -> str | None:
    """The member's file, absolute; of one from elsewhere its name."""
    model = member.settings.model
    if model.path:
        return str(Path(model.path).expanduser().absolute())
    return (model.source.file or model.source.url) if model.source else None


def _check(members: Sequence[PlannedMember]) -> None:
    if len(members) < 2:
        raise UserError("a sweep compares at least two members: name more, or use `evalkit run`")
    if any(member.settings.run_dir for member in members):
        raise UserError("run_dir is one run's folder: a sweep takes sweep.dir=PATH and results_dir=PATH")
    for name, count in Counter(member.name for member in members).items():
        if count > 1:
            raise UserError(f"{count} members of the sweep are called {name}: give them different names")
    _check_same_questions(members)


def _check_stop(settings: SweepSettings, members: Sequence[PlannedMember]) -> None:
    if settings.stop is None:
        return
    if settings.reference is None:
        names = ", ".join(member.name for member in members)
        raise UserError(
            f"stop={settings.stop} compares with the reference while a member runs: give reference=NAME, one "
            f"of {names}"
        )
    if any(isinstance(member.settings.executor, RayExecutor) for member in members):
        raise UserError(f"stop={settings.stop} looks at one engine's answers as they come: not with Ray")


def _apart(members: Sequence[PlannedMember]) -> Iterator[PlannedMember]:
    """Files of the same name in two places make the same run: here each gets a folder of its own.

    Raises:
        UserError: two members are the same run of the same file.
    """
    shared = Counter(path_of(member.settings) for member in members)
    first: dict[tuple[Path, str | None], PlannedMember] = {}
    for member in members:
        path = path_of(member.settings)
        other = first.setdefault((path, member.settings.model.path), member)
        if other is not member:
            raise UserError(
                f"{other.name} and {member.name} are the same run: they differ in nothing that changes an "
                "answer: leave one of them out"
            )
        if shared[path] > 1:
            digest = hashlib.sha256(member.name.encode()).hexdigest()[:8]
            own = member.settings.model_copy(update={"run_dir": f"{path}-{digest}"})
            yield replace(member, settings=own)
        else:
            yield member


def _check_same_questions(members: Sequence[PlannedMember]) -> None:
    """Whatever decides what is asked must be the same for all: only then are answers compared in pairs."""
    first = dict(_questions(members[0]))
    for member in members[1:]:
        for key, value in _questions(member):
            if first.get(key) != value:
                raise UserError(
                    f"members must answer the same questions: {key} is {first.get(key)!r} for "
                    f"{members[0].name} and {value!r} for {member.name}: vary models or backend settings"
                )


def _questions(member: PlannedMember) -> list[tuple[str, Any]]:
    asked = ("benchmark", "data", "protocol", "limit", "seed", "sampling")
    # Only some engines end a repetition, and no verdict depends on it; a depth is how a question is asked.
    how = re.compile(r"protocol\.stop_loops|benchmark\.\w+\.depth", re.ASCII)
    found = identity(member.settings).items()
    return [(k, v) for k, v in found if k.partition(".")[0] in asked and not how.fullmatch(k)]


def _folder(settings: SweepSettings, whole: Mapping[str, Any], members: Sequence[PlannedMember]) -> Path:
    if settings.dir:
        return Path(settings.dir)
    members_ = json.dumps([identity(member.settings) for member in members], sort_keys=True)
    digest = hashlib.sha256(members_.encode()).hexdigest()[:8]
    limit = whole["limit"] if whole["limit"] is not None else "all"
    name = f"{whole['protocol']['name']}-{whole['data']['source']}-{limit}-{digest}"
    return Path(whole["results_dir"]) / "sweeps" / settings.name / name


def ladder_runs(settings: SweepSettings, overrides: Sequence[str]) -> Iterator[RunSettings]:
    """The settings of one run per recipe: the source model's, with the file to be built as its source.

    Raises:
        UserError: no such ladder, source or recipe.
    """
    from evalkit.weights.quantize import recipes

    composed = to_dict(compose([f"+model={settings.source}", f"+ladder={settings.ladder}", *overrides]))
    run, known = read_run(composed), recipes(composed["ladder"])
    for name in settings.recipes or tuple(known):
        if name not in known:
            raise UserError(
                f"sweep.recipes: the ladder {settings.ladder} has no '{name}'.{nearest(name, known)} "
                f"It has {', '.join(known)}"
            )
        yield run.model_copy(update={"model": _built(run.model, known[name], settings.imatrix)})


def _built(base: ModelSettings, recipe: Recipe, imatrix: str | None) -> ModelSettings:
    """The model that a recipe makes of `base`; only i-quants are made with the importance matrix."""
    source = SourceSettings(
        ladder=recipe.name,
        recipe=RecipeSettings(**asdict(recipe)),
        imatrix=imatrix if recipe.mix_name.startswith("IQ") else None,
        model=base,
    )
    return base.model_copy(
        update={
            "name": f"{base.name}-{recipe.name}",
            "title": f"{base.title} → {recipe.name}",
            "path": None,
            "source": source,
            "sha256": None,
            "size_bytes": None,
            "recipe": _claim(recipe),
        }
    )


def _claim(recipe: Recipe) -> str | dict[str, str | None]:
    """In the words of the model configs: a label, or what embeddings, output and the rest are said to be.

    A mix has tensors of several types, and Q2_K is the name of a mix and of a type.
    """
    if not recipe.pure and recipe.embeddings is None and recipe.output is None:
        return recipe.mix_name
    rest = recipe.mix.tensor if recipe.pure else recipe.mix_name
    claim = {"embeddings": recipe.embeddings, "output": recipe.output, "rest": rest}
    return {part: type_ for part, type_ in claim.items() if type_}

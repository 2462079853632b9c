"""Composing the Hydra config of a command, and turning Hydra's complaints into one helpful line."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from evalkit.config.extensions import config_home, config_names
from evalkit.config.own_sets import own_sets
from evalkit.files import CONFIGS
from evalkit.schema import UserError, nearest
from evalkit.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from omegaconf import DictConfig, ListConfig


# Groups without a default: the command line adds them with a plus, and may leave the plus out.
ADDED_GROUPS = ("model", "sweep", "ladder", "judge", "executor")
# Settings that are lists: a comma in them separates items, whatever the command.
LISTS = (
    "benchmark",
    "sweep.members",
    "sweep.recipes",
    "sweep.noise",
    "ladder.recipes",
    "backend.urls",
    "backend.extra_args",
)
# What other tools call a setting.
SYNONYMS = {
    "model_path": "model.path",
    "tasks": "benchmark",
    "task": "benchmark",
    "benchmarks": "benchmark",
    "samples": "limit",
    "temperature": "protocol.temperature",
    "temp": "protocol.temperature",
    "top_p": "protocol.top_p",
    "top_k": "protocol.top_k",
    "max_tokens": "protocol.max_tokens",
    "max_gen_toks": "protocol.max_tokens",
    "system": "protocol.system",
    "stop_loops": "protocol.stop_loops",
    "slots": "backend.slots",
    "batch_size": "backend.slots",
    "parallel": "backend.slots",
    "context": "backend.context",
    "ctx_size": "backend.context",
    "threads": "backend.threads",
    "gpu_layers": "backend.gpu_layers",
    "ngl": "backend.gpu_layers",
    "ctk": "backend.cache_type_k",
    "ctv": "backend.cache_type_v",
    "model_draft": "backend.draft",
    "port": "backend.port",
    "base_url": "backend.base_url",
    "output": "run_dir",
    "output_path": "run_dir",
    "out": "run_dir",
    "dir": "data.dir",
    "data_dir": "data.dir",
    "dry_run": "plan",
}
_CHOICE = re.compile(r"[\w/]+(?:@[\w.]+)?")


def names(group: str) -> list[str]:
    """The config names of a Hydra group, sorted; without its common parts, which begin with an underscore."""
    return sorted({*own_names(group), *config_names(group)})


def own_names(group: str) -> list[str]:
    """Those of evalkit's own, without what is added from outside."""
    return sorted(path.stem for path in (CONFIGS / group).glob("[!_]*.yaml"))


# Settings that are a path, a name or an address: any text, which a shell has freed of its quotes.
_TEXTS = (
    "path",
    "dir",
    "url",
    "title",
    "binary",
    "chat_template",
    "tokenizer",
    "label_defects",
    "file",
    "source",
)


def normalized(overrides: Sequence[str], *, sweeping: bool = True, lists: bool = True) -> list[str]:
    """Overrides as Hydra wants them: a plus where it needs one, lists in brackets, texts quoted.

    Args:
        sweeping: a comma separates values, also of texts.
        lists: but it separates items in `LISTS`.
    """
    overrides = own_sets(overrides, names("benchmark"))
    groups = tuple(f"{group}=" for group in ADDED_GROUPS)
    added = [f"+{override}" if override.startswith(groups) else override for override in overrides]
    return [_quoted(as_list(override) if lists else override, sweeping) for override in added]


def names_benchmarks(overrides: Sequence[str]) -> bool:
    """Whether the user said what is to be asked."""
    return any(override.lstrip("+~").startswith("benchmark=") for override in overrides)


def as_list(override: str) -> str:
    """`benchmark=a, b` as `benchmark=[a,b]`, `sweep.noise=none` as no item; any other setting as it is."""
    key, sign, value = override.partition("=")
    name = key.lstrip("+")
    if not sign or name not in LISTS or value.lstrip()[:1] in ("[", "'", '"') or value in ("", "null"):
        return override
    if name == "benchmark":
        value = ",".join(value.split())  # names have no blanks: those separate, too
    items = [item.strip() for item in value.split(",") if item.strip()]
    if items == ["none"]:
        items = []
    if name == "benchmark" and len(items) == 1:
        return f"{key}={items[0]}"
    return f"{key}=[{','.join(map(_item, items))}]"


def _item(text: str) -> str:
    """An item of a list in Hydra's grammar."""
    return text if re.fullmatch(r"[\w./-]+", text, re.ASCII) else quoted(text)


def quoted(text: str) -> str:
    """Any text in Hydra's quotes. Its rule: a backslash counts as one unless it stands before a quote."""
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text)
    return f"'{escaped}'"


def _quoted(override: str, sweeping: bool) -> str:
    """With its value in Hydra's own quotes where that cannot be read without them, as most paths can be."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, sign, value = override.partition("=")
    text = re.fullmatch(r"(?:.*[._])?(?:" + "|".join(_TEXTS) + ")", key) is not None
    if not sign or not text or value[:1] in ("'", '"', "{"):
        return override
    try:
        parsed = OverridesParser.create().parse_override(override)
        if sweeping or not parsed.is_sweep_override():
            return override
    except HydraException:
        if sweeping and "," in value:
            return override
    return f"{key}={quoted(value)}"


def compose(overrides: Sequence[str]) -> DictConfig:
    """The config of `evalkit run` and its kin.

    Raises:
        UserError: an override names something that does not exist, or is not valid Hydra syntax.
    """
    overrides = normalized(overrides, sweeping=False)
    check_choices(overrides)
    found = _compose(overrides)
    if isinstance(found, Exception):
        raise UserError(explain(found, overrides)) from found
    places = [o.partition("=")[2] for o in overrides if o.startswith("data.dir=")]
    if places and places[-1] != "null" and found.data.source != "local":
        raise UserError(f"data.dir={places[-1]} is for files of your own: add data=local")
    return found


def check_choices(overrides: Sequence[str]) -> None:
    """See that every config that is chosen has one home: evalkit, or one folder or package.

    Raises:
        UserError: a name is evalkit's own and somebody else's, or two others'.
    """
    for override in filter(_is_choice, overrides):
        group = _key_of(override).partition("@")[0]
        for name in re.findall(r"[\w.-]+", override.partition("=")[2]):
            config_home(group, name, own=name in own_names(group))


def _compose(overrides: Sequence[str]) -> DictConfig | Exception:
    """The composed config, or what Hydra has against it."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from evalkit.config.extensions import config_folders

    # A command asks for one config several times, and Hydra takes a fifth of a second. Ours stay as they are;
    # those of others may be edited beside a notebook.
    make = _composed.__wrapped__ if config_folders() else _composed
    try:
        return copy.deepcopy(make(CONFIGS, tuple(overrides)))
    except (HydraException, OmegaConfBaseException) as error:
        return error


@lru_cache(maxsize=32)
def _composed(folder: Path, overrides: tuple[str, ...]) -> DictConfig:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    from evalkit.config.search_path import extend_hydra

    extend_hydra()
    with initialize_config_dir(str(folder), version_base=None):
        return hydra_compose("config", overrides=list(overrides))


def to_dict(config: DictConfig) -> dict[str, Any]:
    """The composed config as plain data.

    Raises:
        UserError: a value that only the user can give (`???`) is missing.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = str(getattr(error, "full_key", "") or "a value")
        raise UserError(f"{key} is missing: add {key}=VALUE to the command") from error
    except OmegaConfBaseException as error:
        key = str(getattr(error, "full_key", "") or "a value")
        raise UserError(
            f"{key}: what it refers to with ${{...}} is not there: write the value itself"
        ) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def explain(error: BaseException, overrides: Sequence[str], *, sweeping: bool = False) -> str:
    """Hydra's complaint about `overrides` as one line that names the first that is wrong, and what was meant.

    Which one it is shows by composing: what is chosen (a model, a benchmark) first, as that decides which
    settings there are, then the settings one after the other.

    Args:
        sweeping: an override may have several values, each for a run of its own.
    """
    for override in overrides:
        if unreadable := _unreadable(override, sweeping):
            return unreadable
    choices = [override for override in overrides if _is_choice(override)]
    twice = _given_twice(choices)
    if twice:
        return twice
    good: list[str] = []
    for override in [*choices, *(override for override in overrides if override not in choices)]:
        alternatives = _alternatives(override)
        for alternative in alternatives:
            found = _compose([*good, alternative])
            if isinstance(found, Exception):
                return _complaint(alternative, found, good)
        good.append(alternatives[0])
    return _complaint(overrides[-1] if overrides else "", error, good[:-1])


def _alternatives(override: str) -> list[str]:
    """One override per value of a sweep; else the override."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_override(override)
    if not parsed.is_sweep_override():
        return [override]
    key = override.partition("=")[0]
    return [f"{key}={value}" for value in parsed.sweep_string_iterator()] or [override]


def _key_of(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def _is_choice(override: str) -> bool:
    """Whether it chooses from a group, as `data=local` does."""
    key = _key_of(override)
    group = key.partition("@")[0]
    return "=" in override and _CHOICE.fullmatch(key) is not None and (CONFIGS / group).is_dir()


def _unreadable(override: str, sweeping: bool) -> str:
    """What is wrong with an override that Hydra's grammar cannot read, or has several values; else ''."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, sign, value = override.partition("=")
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        shown = printable(override)
        if not sign:
            name = key.lstrip("+~")
            return f"cannot read '{shown}': settings are KEY=VALUE" + (
                f", {name}=VALUE" if name.isidentifier() else ""
            )
        own = f"\"{printable(key)}='VALUE'\""
        return f"cannot read '{shown}': a value with special signs needs quotes of its own: {own}"
    if parsed.is_sweep_override() and not sweeping:
        name = key.lstrip("+")
        if name == "model":
            return f"a run has one model, not {printable(value)}: `evalkit sweep` compares several"
        return f"{name}={printable(value)}: it takes one value; `evalkit run -m` makes one run for each"
    if parsed.is_delete() and _key_of(override).partition(".")[0] in (
        "benchmark",
        "data",
        "protocol",
        "backend",
    ):
        name = _key_of(override)
        return f"'{printable(override)}': a run needs {name}: write {name}=VALUE for another"
    return ""


def _given_twice(choices: Sequence[str]) -> str:
    seen: dict[str, str] = {}
    for override in choices:
        key, _, value = override.lstrip("+").partition("=")
        if key in seen:
            return (
                f"{key} is given twice, {printable(seen[key])} and {printable(value)}: leave one of them out"
            )
        seen[key] = value
    return ""


def _complaint(override: str, error: BaseException, good: Sequence[str]) -> str:
    """What is wrong with `override`, which the `good` ones before it compose without."""
    from hydra.errors import MissingConfigException

    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        known = names(group) if group else []
        hint = f".{nearest(name, known)} Known: {', '.join(known)}" if known else ""
        if not name:
            return f"{group}= needs a name{hint}"
        return f"no {group or 'config'} named '{printable(name)}'{hint}"
    key = _key_of(override)
    shown = printable(key)
    if key.startswith("hydra"):
        return f"'{printable(override)}' is no setting: leave it out"
    here = _keys_of(good)
    if key in here:
        return f"'{printable(override)}' cannot be set like this: see `evalkit run --help`"
    homes = _homes(key)
    if homes:
        return _elsewhere(shown, homes)
    known = [*here, *(path.name for path in CONFIGS.iterdir() if path.is_dir())]
    known += [each for _, keys in _settings_by_config() for each in keys if "defaults" not in each]
    return f"no such setting: '{shown}'.{nearest_setting(key, known)} See `evalkit run --help`"


def nearest_setting(key: str, known: Sequence[str]) -> str:
    """A ' Did you mean X?' with the setting that somebody who writes `key` probably means, or ''."""
    block, _, last = key.replace("-", "_").rpartition(".")
    meant = SYNONYMS.get(last)
    if meant and (not block or meant.startswith(f"{block}.")):
        return f" Did you mean {meant}?"
    same_block = [each for each in known if each.rpartition(".")[0] == block]
    return nearest(key, same_block) or nearest(key, known)


def _elsewhere(key: str, homes: Sequence[tuple[str, str]]) -> str:
    group = homes[0][0]
    if group == "model":
        return f"{key} needs a model: evalkit run FILE.gguf, or model=NAME (`evalkit models` lists them)"
    if group == "sweep":
        return f"{key} is a setting of `evalkit sweep`, not of this command: leave it out"
    if group == "benchmark":
        return f"{key}: that benchmark is not asked here: add it to benchmark=..., or leave {key} out"
    chosen = [name for _, name in homes if not name.startswith("_")] or names(group)
    where = " or ".join(f"{group}={name}" for name in chosen[:3])
    return f"{key} is a setting of {where}, which is not chosen here: leave it out, or add that"


def _homes(key: str) -> list[tuple[str, str]]:
    """(group, config) of the configs that have a setting of this name."""
    return [home for home, keys in _settings_by_config() if key in keys]


def _settings_by_config() -> Iterator[tuple[tuple[str, str], list[str]]]:
    from omegaconf import OmegaConf

    for path in sorted(CONFIGS.glob("*/*.yaml")):
        text = path.read_text(encoding="utf-8")
        package = _package(text) or path.parent.name
        yield (path.parent.name, path.stem), [f"{package}.{key}" for key in _flat(OmegaConf.load(path))]


def common_settings() -> list[str]:
    """The settings of a run on llama.cpp, without the blocks and without where benchmarks are downloaded."""
    keys = _keys_of([f"+model={names('model')[0]}", "backend=llama_cpp", "data=hub"])
    blocks = {key.rpartition(".")[0] for key in keys}
    return [key for key in keys if key not in blocks - {"benchmark"} and not _HUB.search(key)]


_HUB = re.compile(r"^model\.|\.hub\.|\.(name|title|licence|source|records|items|files|hub|kind|prompt)$")


def _keys_of(overrides: Sequence[str]) -> list[str]:
    """The settings that there are under `overrides`, which compose."""
    found = _compose(overrides)
    return [] if isinstance(found, Exception) else _flat(found)


def _package(text: str) -> str:
    head = text.splitlines()[0] if text else ""
    return head.removeprefix("# @package").strip() if head.startswith("# @package") else ""


def _flat(config: DictConfig | ListConfig) -> list[str]:
    """The dotted keys of a config, blocks included."""
    from omegaconf import OmegaConf

    def keys(block: object, prefix: str = "") -> Iterator[str]:
        for key, value in block.items() if isinstance(block, dict) else ():
            yield f"{prefix}{key}"
            yield from keys(value, f"{prefix}{key}.")

    return list(keys(OmegaConf.to_container(config, resolve=False)))

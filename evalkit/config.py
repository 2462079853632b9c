"""Composing the Hydra config of a command, and turning Hydra's complaints into one helpful line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.errors import UserError, nearest
from evalkit.paths import CONFIGS

if TYPE_CHECKING:
    from omegaconf import DictConfig

# Groups without a default: the command line adds them with a plus, and may leave the plus out.
ADDED_GROUPS = ("model", "sweep", "ladder", "judge", "executor")


def names(group: str) -> list[str]:
    """The config names of a Hydra group, sorted; without its common parts, which begin with an underscore."""
    return sorted(path.stem for path in (CONFIGS / group).glob("[!_]*.yaml"))


def normalized(overrides: Sequence[str]) -> list[str]:
    """`model=X` means `+model=X`: Hydra would want the plus, and nothing else could be meant."""
    groups = tuple(f"{group}=" for group in ADDED_GROUPS)
    return [f"+{override}" if override.startswith(groups) else override for override in overrides]


def compose(overrides: Sequence[str]) -> DictConfig:
    """The config of `evalkit run` and its kin.

    Raises:
        UserError: an override names something that does not exist, or is not valid Hydra syntax.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    overrides = normalized(overrides)
    try:
        with initialize_config_dir(str(CONFIGS), version_base=None):
            return hydra_compose("config", overrides=overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, overrides)) from error


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
        raise UserError(f"config: {_first_line(error)}") from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def explain(error: BaseException, overrides: Sequence[str]) -> str:
    """Hydra's complaint about `overrides` as one line that says what was probably meant."""
    from hydra.errors import MissingConfigException, OverrideParseException

    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        known = names(group) if group else []
        hint = f".{nearest(name, known)} Known: {', '.join(known)}" if known else ""
        return f"no {group or 'config'} named '{name}'{hint}"
    if isinstance(error, OverrideParseException):
        return (
            f"cannot read the override '{error.override}': write KEY=VALUE, and quote what has special signs"
        )
    culprit = _unknown_key(overrides)
    if culprit:
        return f"no such setting: '{culprit}'.{nearest(culprit, _known_keys())} See `evalkit run --help`"
    line = _first_line(error)
    misplaced = line.removeprefix("Could not override '").partition("'")[0]
    if misplaced != line:
        return f"'{misplaced}' is a setting of something else than what is chosen here: leave it out"
    return f"config: {line}"


def _key_of(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def _unknown_key(overrides: Sequence[str]) -> str | None:
    """The first override whose key no config has. (Hydra's message names it only in prose.)"""
    known = set(_known_keys())
    for override in overrides:
        key = _key_of(override)
        if not override.startswith("+") and key not in known and not key.startswith("hydra"):
            return key
    return None


def _known_keys() -> list[str]:
    from omegaconf import OmegaConf

    groups = [path.name for path in CONFIGS.iterdir() if path.is_dir()]
    keys = list(groups)
    for path in CONFIGS.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        package = _package(text)
        keys += [f"{package}.{key}" if package else key for key in _flat(OmegaConf.load(path))]
    return sorted({key for key in keys if "defaults" not in key})


def _package(text: str) -> str:
    head = text.splitlines()[0] if text else ""
    return head.removeprefix("# @package").strip() if head.startswith("# @package") else ""


def _flat(node: Any, prefix: str = "") -> Iterator[str]:  # noqa: ANN401 - any OmegaConf node
    from omegaconf import DictConfig

    if not isinstance(node, DictConfig):
        return
    for key in node:
        name = f"{prefix}{key!s}"
        yield name
        child = node._get_node(str(key))
        yield from _flat(child, f"{name}.")

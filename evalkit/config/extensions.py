"""What is added to evalkit from outside of it: folders of the user's, and installed packages.

A folder is named in `EVALKIT_PATH`, or as `path: FOLDER` in `evalkit.yaml` in the working directory:

    configs/GROUP/NAME.yaml          configs of a group, as in evalkit's own configs/
    benchmarks/NAME.py, rules/NAME.py, engines/NAME.py     modules, as in evalkit's own packages
    benchmarks/NAME/                 a benchmark's prompt, samples and tables of pins
    prompts/FILE                     templates for `benchmark.NAME.prompt=FILE`

A package names its modules by entry points (`evalkit.benchmarks`, `evalkit.rules`, `evalkit.engines`), and
has configs/, benchmarks/NAME/ and prompts/ beside them.

Code from outside runs only if a command, or a config that it names, asks for that benchmark, rule or engine
by name; nothing is imported to list names. `rules=all` asks for the rules of packages and of `EVALKIT_PATH`,
but not of `evalkit.yaml`: who comes into a folder with such a file has named nothing of it. Nor can a name of
evalkit's own be taken: where two have a name, asking for it is an error that says who.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

from evalkit.config.checks import Settings, read
from evalkit.files import BENCHMARKS
from evalkit.schema import UserError
from evalkit.text import printable

Kind = Literal["benchmarks", "rules", "engines"]

PATH_VARIABLE = "EVALKIT_PATH"
FILE = "evalkit.yaml"
_PACKAGES: dict[Kind, str] = {
    "benchmarks": "evalkit.benchmarks",
    "rules": "evalkit.scoring.rules",
    "engines": "evalkit.engines",
}
_WORDS: dict[Kind, str] = {"benchmarks": "benchmark", "rules": "rule", "engines": "engine"}
_MUST_HAVE: dict[Kind, tuple[str, ...]] = {
    "benchmarks": ("IDS", "unit"),
    "rules": ("score",),
    "engines": ("Settings",),
}
# The group of configs without which a module of that kind cannot be named.
_GROUPS: dict[str, Kind] = {"benchmark": "benchmarks", "backend": "engines"}
_MAX_FILE = 1 << 20


class _OwnFile(Settings):
    """evalkit.yaml. `path`: folders, from where the file is."""

    path: str | list[str]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A folder or a package that adds to evalkit.

    ``title`` is what messages call it. ``folder`` holds its configs, prompts and samples (None: it has none).
    ``modules``: what imports each module, by kind and name. ``beside_the_user``: it is in evalkit.yaml.
    """

    title: str
    folder: Path | None
    modules: Mapping[Kind, Mapping[str, Callable[[], object]]]
    beside_the_user: bool = False

    def config(self, group: str, name: str) -> Path | None:
        """Its config of that name, if it has one."""
        file = self.folder / "configs" / group / f"{name}.yaml" if self.folder else None
        return file if file and file.is_file() else None


def places() -> tuple[Place, ...]:
    """All that is added, in the order of `EVALKIT_PATH`, evalkit.yaml and the packages' names.

    Raises:
        UserError: a folder is not there, or evalkit.yaml cannot be read.
    """
    return _places(os.environ.get(PATH_VARIABLE, ""), Path.cwd())


@cache
def _places(path: str, here: Path) -> tuple[Place, ...]:
    folders: dict[Path, Place] = {}
    for name in filter(None, path.split(os.pathsep)):
        folder = _folder(Path(name).expanduser(), f"{PATH_VARIABLE}={path}")
        folders.setdefault(folder, _of_folder(folder))
    for folder in _folders_beside(here):
        folders.setdefault(folder, _of_folder(folder, beside_the_user=True))
    return (*folders.values(), *_packages())


def _folder(folder: Path, where: str) -> Path:
    if not folder.is_dir():
        raise UserError(f"{printable(where)}: no folder {printable(str(folder))}")
    return folder.resolve()


def _folders_beside(here: Path) -> list[Path]:
    """The folders that evalkit.yaml in `here` names.

    Raises:
        UserError: it cannot be read, or a folder is not there.
    """
    import yaml

    file = here / FILE
    if not file.is_file():
        return []
    try:
        if file.stat().st_size > _MAX_FILE:
            raise UserError(f"{FILE}: larger than 1 MiB: it holds `path: FOLDER` and nothing else")
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{FILE}: cannot be read as YAML: {printable(str(error), 200)}") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{FILE}: must hold `path: FOLDER`, a folder with configs, benchmarks or rules")
    paths = read(_OwnFile, {str(key): value for key, value in content.items()}, FILE).path
    listed = [paths] if isinstance(paths, str) else paths
    return [_folder(here / Path(each).expanduser(), FILE) for each in listed]


def _of_folder(folder: Path, *, beside_the_user: bool = False) -> Place:
    modules = {
        kind: {
            file.stem: partial(_import_from, folder / kind, package, file.stem)
            for file in sorted((folder / kind).glob("[!_]*.py"))
        }
        for kind, package in _PACKAGES.items()
    }
    return Place(f"folder {folder}", folder, modules, beside_the_user)


def _import_from(folder: Path, package: str, name: str) -> object:
    path = importlib.import_module(package).__path__
    if str(folder) not in path:
        path.append(str(folder))
    return importlib.import_module(f"{package}.{name}")


def _packages() -> list[Place]:
    """The installed packages that have entry points for evalkit, by name; nothing of them is imported."""
    found: dict[tuple[str, Path | None], dict[Kind, dict[str, Callable[[], object]]]] = {}
    for kind in _PACKAGES:
        for point in entry_points(group=f"evalkit.{kind}"):
            title = (
                f"package {point.dist.name} {point.dist.version}" if point.dist else f"package {point.value}"
            )
            modules = found.setdefault((title, _folder_of(point)), {each: {} for each in _PACKAGES})
            modules[kind][point.name] = point.load
    order = sorted(found, key=str)
    return [Place(printable(title), folder, found[title, folder]) for title, folder in order]


def _folder_of(point: EntryPoint) -> Path | None:
    """Where an entry point's module lies; None for a module in no package, or one that is not installed."""
    top, *rest = point.module.split(".")
    try:
        spec = importlib.util.find_spec(top)  # of a top-level name it imports nothing
    except (ImportError, ValueError):
        return None
    locations = (spec.submodule_search_locations if spec else None) or ()
    folders = (Path(location, *rest[:-1]) for location in locations)
    return next((folder.resolve() for folder in folders if folder.is_dir()), None)


def module_folders(kind: Kind) -> list[str]:
    """Where else modules of a package of evalkit's are: it adds these to its `__path__` when it is imported.

    Folders that are wrong are left out here: the first look-up of a name says so.
    """
    try:
        found = places()
    except UserError:
        return []
    return [str(place.folder / kind) for place in found if place.folder and place.title.startswith("folder ")]


def home(kind: Kind, name: str) -> Place | None:
    """Who has the module of that name; None for evalkit's own, and where there is none.

    Raises:
        UserError: more than one has it.
    """
    package = Path(__file__).resolve().parents[1].joinpath(*_PACKAGES[kind].split(".")[1:])
    own = name.isidentifier() and (package / f"{name}.py").is_file()
    found = [place for place in places() if name in place.modules[kind]]
    return _one(f"{_WORDS[kind]} {printable(name)}", found, own=own)


def _one(what: str, found: list[Place], *, own: bool) -> Place | None:
    if own and found:
        raise UserError(f"{found[0].title}: its {what} has a name of evalkit's own: rename it there")
    if len(found) > 1:
        raise UserError(f"{found[0].title} and {found[1].title} both have a {what}: rename or remove one")
    return found[0] if found else None


def load(kind: Kind, name: str) -> Any:  # noqa: ANN401 - a module of that kind
    """The module of that name, evalkit's own or from outside, imported.

    Raises:
        UserError: one from outside cannot be imported, lacks what it must have, or shares its name.
    """
    place = home(kind, name)
    if place is None:
        return importlib.import_module(f"{_PACKAGES[kind]}.{name}")
    with blamed(kind, name):
        module = place.modules[kind][name]()
    lacks = [each for each in _MUST_HAVE[kind] if not hasattr(module, each)]
    if lacks:
        raise UserError(f"{place.title}: {_WORDS[kind]} {name}: its module has no {' and no '.join(lacks)}")
    return module


@contextmanager
def blamed(kind: Kind, name: str) -> Iterator[None]:
    """Whatever goes wrong in code from outside is one line that names whose it is; evalkit's own raises on.

    Raises:
        UserError: see above.
    """
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        place = home(kind, name)
        if place is None:
            raise
        said = printable(f"{type(error).__name__}: {error}", 200)
        raise UserError(f"{place.title}: {_WORDS[kind]} {name} is broken: {said}") from error


def module_names(kind: Kind) -> list[str]:
    """The modules from outside that may run without being named one by one, sorted."""
    return sorted({name for place in places() if not place.beside_the_user for name in place.modules[kind]})


def config_folders() -> list[Path]:
    """The folders of configs from outside, for Hydra to search after evalkit's own."""
    folders = (place.folder / "configs" for place in places() if place.folder)
    return [folder for folder in folders if folder.is_dir()]


def config_names(group: str) -> list[str]:
    """The names of a group's configs from outside, sorted."""
    return sorted({file.stem for folder in config_folders() for file in (folder / group).glob("[!_]*.yaml")})


def config_home(group: str, name: str, *, own: bool) -> tuple[Place, Path] | None:
    """Who has the config of that name, and where; None if evalkit or nobody has.

    Args:
        own: whether evalkit has one.

    Raises:
        UserError: more than one has it; or there is only a module, and no config for it.
    """
    found = {place: file for place in places() if (file := place.config(group, name))}
    place = _one(f"{group} {printable(name)}", list(found), own=own)
    kind = _GROUPS.get(group)
    if place is None and kind and not own and (maker := home(kind, name)):
        wanted = f"configs/{group}/{name}.yaml"
        where = f" in {maker.folder}" if maker.folder else ": its modules must be in a package"
        raise UserError(f"{maker.title}: its {_WORDS[kind]} {printable(name)} has no {wanted}{where}")
    return (place, found[place]) if place else None


def listed(group: str) -> list[tuple[str, str, str]]:
    """(name, title, whose) of a group's configs from outside, as their files say; it imports nothing."""
    import yaml

    rows = []
    for place in places():
        folder = place.folder / "configs" / group if place.folder else None
        for file in sorted(folder.glob("[!_]*.yaml")) if folder else ():
            try:
                content = yaml.safe_load(file.read_text(encoding="utf-8"))
            except (OSError, ValueError, RecursionError, yaml.YAMLError):
                content = None
            block = content.get(group, content) if isinstance(content, Mapping) else None
            title = block.get("title") if isinstance(block, Mapping) else "cannot be read"
            rows.append((file.stem, str(title or file.stem), place.title))
    return rows


def benchmark_folder(name: str) -> Path:
    """Where a benchmark's prompt, samples and tables are: evalkit's benchmarks/NAME, or one from outside."""
    own = BENCHMARKS / name
    if own.is_dir():
        return own
    folders = (place.folder / "benchmarks" / name for place in places() if place.folder)
    return next((folder for folder in folders if folder.is_dir()), own)


def prompt_file(template: str) -> Path | None:
    """A template of that name in a folder `prompts` from outside."""
    files = (place.folder / "prompts" / template for place in places() if place.folder)
    return next((file for file in files if file.is_file()), None)

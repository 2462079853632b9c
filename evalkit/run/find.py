"""Runs of this machine by name: `last`, a model's name, a folder, the folder above it, or a record file.

And what can be said of a run without reading its answers: when, how far, how right. Folders are one's own,
but may be half written, copied or edited: what cannot be read is said, and nothing else is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evalkit.files import read_json
from evalkit.run.record import RECORD_FILE
from evalkit.schema import JUDGED, UserError, nearest
from evalkit.text import mapping, printable

RESULTS = Path("results")
LAST = "last"
_CONFIG = "config.yaml"
_SHOWN = 6  # of several runs that a name may mean


@dataclass(frozen=True, slots=True)
class RunState:
    """A run's folder at a glance.

    ``wanted`` answers are what was asked for, None where that is not known (nothing was generated yet, or
    outputs made elsewhere); ``there`` are on disk. ``right`` is the mean over the scored benchmarks,
    ``scored`` the number of items behind it; None and 0 without scores. ``when`` is when it was last at
    work. ``problem`` says what of it cannot be read.
    """

    path: Path
    model: str
    when: datetime
    ended: bool
    benchmarks: tuple[str, ...] = ()
    there: int = 0
    wanted: int | None = None
    right: float | None = None
    scored: int = 0
    is_scored: bool = False
    problem: str = ""

    @property
    def text(self) -> str:
        """`complete`, `12 of 60`, with `not scored` where that is so."""
        if self.problem:
            return self.problem
        whole = self.wanted is None or self.there >= self.wanted
        state = "complete" if whole and self.there else f"{self.there:,} of {self.wanted or '?'}"
        return state if self.is_scored else f"{state}, not scored"


def find_run(name: str | Path, results: Path = RESULTS, *, also: Sequence[str] = ()) -> Path:
    """The folder or record file that `name` means; an existing file, or folder with a run in it, comes first.

    Args:
        also: files that make a folder as good as a run's (`sweep.json`).

    Raises:
        UserError: there is no such run, or several: then it names them.
    """
    path = Path(name).expanduser()
    marks = (_CONFIG, RECORD_FILE, *also)
    if path.is_file() or _is_one(path, marks):
        return path
    inside = sorted(each for each in _folders(path) if _is_one(each, marks))
    if inside:
        return _only(str(name), inside)
    runs = [] if path.exists() and path.parent != Path() else run_folders(results)
    if str(name) == LAST and runs:
        return newest(results)[0]
    named = [each for each in runs if str(name) in (each.parent.name, each.name)]
    if named:
        return _only(str(name), named)
    if path.exists():
        return path
    if str(name) == LAST:
        raise UserError(f"last: there is no run in {results / 'runs'} yet: run something first")
    hint = nearest(str(name), {LAST, *(each.parent.name for each in runs)})
    raise UserError(
        f"{printable(str(name), 300)} is not a run folder, a record, or a model that has a run here "
        f"(`evalkit runs` lists them).{hint}"
    )


def newest(results: Path = RESULTS) -> list[Path]:
    """The runs' folders, the one that was at work last first."""
    return sorted(run_folders(results), key=lambda path: (_when(path), path.name), reverse=True)


def run_folders(results: Path = RESULTS) -> list[Path]:
    """Where runs are kept that were given no folder of their own: <results>/runs/<model>/<run id>."""
    return [path.parent for path in (results / "runs").glob(f"*/*/{_CONFIG}")]


def _is_one(path: Path, marks: Sequence[str]) -> bool:
    return any((path / mark).is_file() for mark in marks)


def _folders(path: Path) -> Iterator[Path]:
    try:
        yield from (each for each in path.iterdir() if each.is_dir())
    except OSError:
        return


def _only(name: str, paths: Sequence[Path]) -> Path:
    if len(paths) == 1:
        return paths[0]
    shown = sorted(paths, key=_when, reverse=True)
    more = f", and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    raise UserError(
        f"{printable(name, 300)} has {len(paths)} runs, give one of them: "
        f"{', '.join(map(str, shown[:_SHOWN]))}{more}"
    )


def _when(path: Path) -> float:
    """When something was last generated there, in seconds since 1970."""
    for name in ("run.json", "generations.jsonl", _CONFIG):
        try:
            return (path / name).stat().st_mtime
        except OSError:
            continue
    return 0.0


def run_states(results: Path = RESULTS) -> list[RunState]:
    """Every run of <results>/runs at a glance, the newest first."""
    return [run_state(path) for path in newest(results)]


def run_state(path: Path) -> RunState:
    """A run's folder at a glance."""
    model, when = path.parent.name, datetime.fromtimestamp(_when(path), UTC)
    try:
        run, scores = read_json(path / "run.json"), read_json(path / "results.json")
        answers = path / "generations.jsonl"
        there = _lines(answers) if answers.exists() else 0
    except (UserError, OSError) as error:
        return RunState(path, model, when, False, problem=printable(f"cannot be read: {error}"))
    data, protocol = mapping(run.get("data")), mapping(run.get("protocol"))
    right, scored = _accuracy(scores)
    current = bool(scores) and (path / "results.json").stat().st_mtime_ns >= answers.stat().st_mtime_ns
    return RunState(
        path=path,
        model=model,
        when=when,
        ended=bool(run.get("ended")),
        benchmarks=tuple(map(str, data)),
        there=there,
        wanted=_wanted(run, data, protocol),
        right=right,
        scored=scored,
        is_scored=current,
    )


def _lines(path: Path) -> int:
    """Whole lines: each is an answer."""
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def _wanted(run: Mapping[str, Any], data: Mapping[str, Any], protocol: Mapping[str, Any]) -> int | None:
    if mapping(run.get("engine")).get("engine") == "replay":
        return None
    selected = [mapping(each).get("selected") for each in data.values()]
    counts = [each for each in selected if isinstance(each, int)]
    samples = protocol.get("samples")
    if not counts or len(counts) < len(selected):
        return None
    return sum(counts) * (samples if isinstance(samples, int) else 1)


def _accuracy(scores: Mapping[str, Any]) -> tuple[float | None, int]:
    """The mean over the benchmarks with a score under the rule that counts, or a judge's; their items."""
    tasks, configs = mapping(scores.get("results")), mapping(scores.get("configs"))
    effective = mapping(scores.get("n-samples"))
    found, items = [], 0
    for name, task in tasks.items():
        rule = mapping(configs.get(name)).get("rule")
        values = [mapping(task).get(f"acc,{each}") for each in (rule, JUDGED)]
        value = next((each for each in values if isinstance(each, int | float)), None)
        if value is not None:
            found.append(float(value))
            count = mapping(effective.get(name)).get("effective")
            items += count if isinstance(count, int) else 0
    return (sum(found) / len(found) if found else None), items

"""What run.json says beside the engine: what made the run, and what it cost over all its sessions.

`RunProgress` shows on standard error how far a run is: a live bar on a terminal, plain lines elsewhere.
"""

from __future__ import annotations

import platform
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from evalkit.config.settings import RunSettings
from evalkit.schema import LOOP, RUN_SCHEMA, Answer
from evalkit.text import duration
from evalkit.version import __version__

_MODEL_FACTS = ("name", "title", "family", "parameters", "licence", "recipe")


def provenance(settings: RunSettings, data: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The part of run.json that is known before anything is generated."""
    return {
        "schema": RUN_SCHEMA,
        "evalkit": {"version": __version__, "git_commit": git_commit()},
        "model": {key: getattr(settings.model, key) for key in _MODEL_FACTS},
        "protocol": settings.protocol.model_dump(),
        "sampling": settings.generation.as_dict(),
        "seed": settings.seed,
        "data": {name: dict(facts) for name, facts in data.items()},
        "hardware": hardware(),
    }


def now() -> str:
    """The time in UTC, to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_commit() -> str | None:
    """The commit of the checkout that this code runs from, with `-dirty` if changed; None when installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        shown = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return shown.stdout.strip()


def hardware() -> dict[str, Any]:
    """CPU, cores and memory of this machine; sizes in bytes."""
    import psutil

    return {
        "cpu": _cpu_name(),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


_ADDED_UP = ("wall_seconds", "engine_seconds", "load_seconds")
_ADDED_UP_IF_KNOWN = ("idle_slot_seconds", "before_first_seconds", "after_last_seconds")


def measured(
    sessions: Sequence[Mapping[str, Any]], records: Iterable[Answer], distinct: int | None, max_tokens: int
) -> dict[str, Any]:
    """The `measured` block of run.json.

    Args:
        sessions: one mapping per session with its seconds and peak memory (bytes or None).
        records: all finished generations of the run.
        distinct: nodes of the trie of all prompts in tokens, None where the engine does not tell tokens.
        max_tokens: the longest answer in tokens.

    Returns:
        Sums over sessions for seconds (those that older sessions did not count: over the others; None where
        none did), the maximum for memory, sums over records for tokens; speeds are
        tokens per second of one slot, averaged over the time that the engine says it spent. `probe` is the
        last session's that has one. Where answers were ended as loops: how many, and `loop_tokens_saved`, the
        tokens that they still had up to the limit.
    """
    records = list(records)
    loops = [record for record in records if record.finish_reason == LOOP]
    saved = sum(max(max_tokens - (record.completion_tokens or 0), 0) for record in loops)
    energies = [session["energy_joules"] for session in sessions if session.get("energy_joules")]
    probes = [session["probe"] for session in sessions if session.get("probe")]
    computed = sum(record.computed_tokens for record in records)
    generated = sum(record.completion_tokens or 0 for record in records)
    return {
        **{name: round(sum(s.get(name) or 0.0 for s in sessions), 3) for name in _ADDED_UP},
        **{name: _sum(sessions, name) for name in _ADDED_UP_IF_KNOWN},
        "prompt_tokens_computed": computed,
        "prompt_tokens_distinct": distinct,
        "prompt_tokens_total": sum(record.prompt_tokens or 0 for record in records),
        "completion_tokens": generated,
        "peak_memory_bytes": _highest(sessions, "peak_memory_bytes"),
        "peak_gpu_memory_bytes": _highest(sessions, "peak_gpu_memory_bytes"),
        "energy_joules": round(sum(energies), 3) if energies else None,
        "probe": probes[-1] if probes else None,
        "prefill_tokens_per_second": _rate(
            sum(r.computed_tokens for r in records if r.prefill_s), sum(r.prefill_s or 0.0 for r in records)
        ),
        "decode_tokens_per_second": _rate(
            sum(r.completion_tokens or 0 for r in records if r.decode_s),
            sum(r.decode_s or 0.0 for r in records),
        ),
        **({"loops": len(loops), "loop_tokens_saved": saved} if loops else {}),
    }


def _sum(sessions: Sequence[Mapping[str, Any]], name: str) -> float | None:
    known = [session[name] for session in sessions if session.get(name) is not None]
    return round(sum(known), 3) if known else None


def _highest(sessions: Sequence[Mapping[str, Any]], name: str) -> int | None:
    return max((session[name] for session in sessions if session.get(name)), default=None)


def _rate(tokens: int, seconds: float) -> float | None:
    return round(tokens / seconds, 2) if seconds > 0 else None


def cost_line(figures: Mapping[str, Any]) -> str:
    """One line for the end of a run: prompt work against its floor, and time outside the engine."""
    parts = []
    computed, distinct = figures["prompt_tokens_computed"], figures["prompt_tokens_distinct"]
    if distinct:
        parts.append(f"prompt tokens computed/distinct {computed}/{distinct} = {computed / distinct:.3f}")
    wall, engine = figures["wall_seconds"], figures["engine_seconds"]
    if wall:
        parts.append(f"{wall:.1f} s, {1 - engine / wall:.1%} of it outside the engine")
    if figures.get("idle_slot_seconds") is not None:
        idle, before, after = (figures.get(name) or 0.0 for name in _ADDED_UP_IF_KNOWN)
        parts.append(
            f"slots idle while work waited {idle:.1f} s; {before:.1f} s before the first request, "
            f"{after:.1f} s after the last answer"
        )
    if figures["peak_memory_bytes"]:
        parts.append(f"peak memory {figures['peak_memory_bytes'] / 2**20:.0f} MiB")
    if figures.get("loops"):
        saved = f"{figures['loop_tokens_saved']:,} tokens short of the limit"
        parts.append(f"{figures['loops']} answers were loops and ended {saved}")
    return "; ".join(parts)


_LINE_SECONDS = 15.0
_ENOUGH = 8  # answers: over the first few, reading the prompts takes all the time and few tokens are written


class RunProgress:
    """Done/total, generated tokens per second, share of prompt tokens reused, time to go.

    The time left is that of the tokens left, at the rate measured since the start: each benchmark's answers
    are as long as those that are there, and as expected until there are some.

    Args:
        total: requests of the whole run.
        left: those without an answer, by benchmark.
        expected: tokens of an answer by benchmark.
    """

    def __init__(
        self, total: int, left: Mapping[str, int], expected: Mapping[str, float], console: Console
    ) -> None:
        self._console = console
        self._total = total
        self._left = dict(left)
        self._expected = expected
        self._done = total - sum(left.values())
        self._before = self._done
        self._started = self._last_line = time.monotonic()
        self._tokens: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._prompt = 0
        self._cached = 0
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rates]}"),
                console=console,
            )
            self._task = self._bar.add_task("generating", total=total, completed=self._done, rates="")

    def __enter__(self) -> RunProgress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def add(self, record: Answer) -> None:
        """Count one finished record."""
        self._done += 1
        self._left[record.benchmark] = max(0, self._left.get(record.benchmark, 0) - 1)
        self._tokens[record.benchmark] += record.completion_tokens or 0
        self._answers[record.benchmark] += 1
        self._prompt += record.prompt_tokens or 0
        self._cached += record.cached_tokens or 0
        if self._bar:
            self._bar.update(self._task, completed=self._done, rates=f"{self._rates()}  {self._remaining()}")
            return
        now = time.monotonic()
        if now - self._last_line >= _LINE_SECONDS or self._done == self._total:
            self._last_line = now
            self._console.print(
                f"{self._done}/{self._total}  {self._rates()}  {self._remaining()}",
                highlight=False,
                soft_wrap=True,
            )

    def _rates(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-9)
        reuse = f"{self._cached / self._prompt:.0%}" if self._prompt else "-"
        return f"{self._tokens.total() / seconds:.1f} tokens/s  prompt reuse {reuse}"

    def _remaining(self) -> str:
        if self._done < self._total and self._done - self._before < _ENOUGH:
            return "time left not known yet"
        return f"{duration(self.seconds_left(time.monotonic() - self._started))} left"

    def seconds_left(self, elapsed: float) -> float:
        """Seconds to the end, if so many have passed since the start."""
        generated = self._tokens.total()
        if not generated:  # an engine that does not count tokens
            return elapsed / max(self._done - self._before, 1) * sum(self._left.values())
        return elapsed / generated * sum(count * self._length(name) for name, count in self._left.items())

    def _length(self, benchmark: str) -> float:
        """Tokens of an answer to come."""
        if self._answers[benchmark]:
            return self._tokens[benchmark] / self._answers[benchmark]
        return self._expected.get(benchmark) or self._tokens.total() / self._answers.total()

"""How far a run is: a live bar on a terminal, plain lines elsewhere. Goes to standard error."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from evalkit.runner.record import Generation

_LINE_SECONDS = 15.0


class RunProgress:
    """Done/total, generated tokens per second, share of prompt tokens reused, time to go.

    Args:
        total: requests of the whole run; done: those finished by earlier sessions.
    """

    def __init__(self, total: int, done: int, console: Console) -> None:
        self._console = console
        self._total = total
        self._done = done
        self._before = done
        self._started = self._last_line = time.monotonic()
        self._generated = 0
        self._prompt = 0
        self._cached = 0
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rates]}"),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task("generating", total=total, completed=done, rates="")

    def __enter__(self) -> RunProgress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def add(self, record: Generation) -> None:
        """Count one finished record."""
        self._done += 1
        self._generated += record.completion_tokens or 0
        self._prompt += record.prompt_tokens or 0
        self._cached += record.cached_tokens or 0
        if self._bar:
            self._bar.update(self._task, completed=self._done, rates=self._rates())
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
        return f"{self._generated / seconds:.1f} tokens/s  prompt reuse {reuse}"

    def _remaining(self) -> str:
        fresh = self._done - self._before
        seconds = (time.monotonic() - self._started) / max(fresh, 1) * (self._total - self._done)
        return f"ETA {int(seconds) // 60}:{int(seconds) % 60:02d}"

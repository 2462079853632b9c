"""What `evalkit load` prints: a row for each number of users, what it means, and how to serve it so."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from evalkit.load.record import Level, LoadResult, Waits
from evalkit.text import printable, size_text

HEADER = (
    *("users", "answers", "first token s", "per token ms", "pause ms", "answer s"),
    *("tokens/s", "cached", "peak memory"),
)


def level_row(level: Level) -> tuple[str, ...]:
    """One row: percentiles as `p50 / p95 / p99`."""
    peak = level.memory_bytes
    cached = f"{100 * level.cached_tokens / level.prompt_tokens:.0f} %" if level.prompt_tokens else "-"
    return (
        str(level.users),
        str(level.done),
        _waits(level.first_token, 1, 2),
        _waits(level.per_token, 1000, 0),
        _waits(level.pause, 1000, 0),
        _waits(level.answer, 1, 1),
        f"{level.tokens_per_second:.1f}",
        cached,
        size_text(peak, up=True) if peak is not None else "-",
    )


def _waits(found: Waits | None, scale: float, digits: int) -> str:
    if found is None:
        return "-"
    return " / ".join(f"{scale * value:.{digits}f}" for value in (found.p50, found.p95, found.p99))


def load_lines(found: LoadResult) -> Iterator[str]:
    """What must be known of the table, one line each."""
    yield f"p50 / p95 / p99{_room(found)}; of fewer than 100 waits the p99 is the longest"
    for level in found.levels:
        if level.unfinished:
            yield (
                f"{level.users} users: {level.unfinished} of {level.asked} were given up when time was over: "
                "give seconds=N for more; their waits are at least what is shown"
            )
        if level.failed:
            why = printable(level.reason or "", 200)
            yield f"{level.users} users: {level.failed} of {level.asked} failed: {why}"
        if level.draft_tokens:
            taken = 100 * (level.draft_accepted or 0) / level.draft_tokens
            yield f"{level.users} users: {taken:.0f} % of {level.draft_tokens} tokens of the draft were taken"
    if found.command:
        yield f"served so: {command_text(found.command)}"


def _room(found: LoadResult) -> str:
    """How many are served together; a service does not say."""
    if not found.command:
        return ""
    room = f" of {found.context:,} tokens" if found.context else ""
    return f", with {found.slots} slots{room}: more users than slots wait for one"


def command_text(command: Sequence[str]) -> str:
    """A command line to copy into a shell."""
    return shlex.join(printable(word, 1000) for word in command)

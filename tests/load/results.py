"""Results of a load, made by hand."""

from __future__ import annotations

from evalkit.load.record import Level, LoadResult, Waits

GIB = 2**30


def level(users: int, first: float = 0.9, token: float = 0.05, peak: int = GIB) -> Level:
    """20 answers for each user; `first` and `token` are the p95 of the waits, seconds."""
    return Level(
        users=users,
        asked=20 * users,
        done=20 * users,
        failed=0,
        unfinished=0,
        seconds=30.0,
        first_token=Waits(0.5, first, first + 0.05, 20 * users),
        per_token=Waits(token / 2, token, token, 20 * users),
        pause=Waits(0.04, 0.06, 0.2, 400),
        answer=Waits(2.0, 3.0, 4.0, 20 * users),
        tokens_per_second=40.0,
        prompt_tokens=9000,
        cached_tokens=900,
        answer_tokens=1200,
        draft_tokens=None,
        draft_accepted=None,
        peak_memory_bytes=peak,
        peak_gpu_memory_bytes=None,
    )


def result(
    file: str = "m",
    sha256: str = "0" * 64,
    levels: tuple[Level, ...] = (),
    context: int = 4096,
    slots: int = 4,
) -> LoadResult:
    """Of the file `m.gguf`, with one user unless `levels` are given."""
    command = ("llama-server", "--model", f"{file} 1.gguf", "--parallel", str(slots))
    return LoadResult(
        name=file,
        title=file,
        file=f"{file}.gguf",
        sha256=sha256,
        build="b1",
        command=command,
        context=context,
        slots=slots,
        backend={},
        questions={"benchmarks": ["finqa"]},
        max_tokens=64,
        load_seconds=1.0,
        machine={"cpu": "A processor"},
        made="2026-01-01T00:00:00+00:00",
        levels=levels or (level(1),),
        complete=True,
    )

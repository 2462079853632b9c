"""What fidelity costs, how far K likeliest tokens are from the full divergence, what its intervals cover."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.config.options import Arguments, read_arguments
from evalkit.schema import UserError

if TYPE_CHECKING:
    from evalkit.fidelity.engine import LogProbs
    from evalkit.fidelity.plan import Plan

HELP = """
usage: python -m bench fidelity speed|buckets RUN FILE.gguf [KEY=VALUE ...]
       python -m bench fidelity digits RUN FILE.gguf [KEY=VALUE ...]
       python -m bench fidelity intervals

speed      tokens per second of a fidelity pass over a run's answers, with logits at every answer token,
           against llama.cpp's own prefill of the same tokens in the same batches without logits; seconds per
           answer against those that the run's generation took
buckets    mean KL(reference ‖ FILE) over K = 16, 64 and 256 likeliest tokens and all others as one, against
           the full one over the whole vocabulary, on the first answers
digits     planted damage: a copy of FILE in which the output matrix has only 2 bits in the rows of tokens
           with a digit, against the run's own file: mean KL by kind of token (its output matrix must be Q8_0)
intervals  how often 95 % intervals of a mean contain it: Student's t on the log scale (which fidelity takes),
           plain, and a BCa bootstrap, by simulation

  benchmark=[A] only these of the run's
  limit=N       answers per benchmark (default: 3)
  threads=N     (default: cores)
  data.dir=PATH where the run's local data is now
"""
_DEFAULTS = {"limit": "3", "benchmark": "", "threads": "", "data.dir": ""}
_TOPS = (16, 64, 256)


def main(arguments: Sequence[str]) -> int:
    given = read_arguments("fidelity", arguments, _DEFAULTS)
    kind, *places = given.places or [""]
    if kind == "intervals" and not places:
        return intervals()
    commands: dict[str, Callable[[Path, Path, Arguments], int]] = {
        "speed": speed,
        "buckets": buckets,
        "digits": digits,
    }
    if kind not in commands or len(places) != 2:
        raise UserError("fidelity: give speed, buckets or digits, a run and a file; or intervals")
    return commands[kind](Path(places[0]), Path(places[1]), given)


def _opened(run_path: Path, given: Arguments, log: Path) -> tuple[Plan, Any, int]:
    """The plan of some of a run's answers, its file, and the threads to use."""
    from evalkit.fidelity.engine import default_threads
    from evalkit.fidelity.gguf import reference_file
    from evalkit.fidelity.plan import check_reference, make_plan
    from evalkit.run.runner import read_run

    run = read_run(run_path, given.text("data.dir") or None)
    check_reference(run)
    file = reference_file(run, None)
    threads = given.optional_whole("threads") or default_threads()
    plan = make_plan(run, file, log, given.optional_whole("limit"), given.names("benchmark"))
    return plan, file, threads


def _model(path: Path, plan: Plan, threads: int, log: Path) -> LogProbs:
    from evalkit.fidelity.engine import LogProbs, Options
    from evalkit.weights.gguf import read_model

    options = Options(str(path), plan.context, threads)
    return LogProbs(read_model(path), options, log)


def speed(run_path: Path, path: Path, given: Arguments) -> int:
    """Print tokens per second with and without logits, and seconds per answer beside generation's."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="evalkit-bench-") as scratch:
        log = Path(scratch) / "log"
        plan, file, threads = _opened(run_path, given, log)
        with _model(file.path, plan, threads, log) as model:
            kept = [model.top(answer.forced(model.ends), 64).rows for answer in plan.answers]
        with _model(path, plan, threads, log) as model:
            passes: dict[str, tuple[float, float]] = {}
            # Each in turn and twice, so that a machine with other work slows both alike.
            for name in ("fidelity", "prefill", "fidelity", "prefill"):
                # A first token of its own empties the cache.
                model.top(replace(plan.answers[0].forced([0]), tokens=[0], start=0, cuts=()), 1)
                started, tokens = time.perf_counter(), 0
                for answer, rows in zip(plan.answers, kept, strict=True):
                    forced = answer.forced(rows.targets[-1:].tolist())
                    if name == "prefill":
                        # One row, as a server computes for a prompt.
                        forced = replace(forced, start=len(forced.tokens) - 1)
                        found = model.at(forced, rows.ids[-1:])
                    else:
                        found = model.at(forced, rows.ids)
                    tokens += found.computed
                seconds = time.perf_counter() - started
                best = passes.get(name, (0.0, 0.0))
                passes[name] = max(best, (tokens / seconds, seconds))
    generated = _generation_seconds(run_path, plan)
    per_answer = passes["fidelity"][1] / len(plan.answers)
    predicted = sum(answer.predicted for answer in plan.answers)
    print(f"{path.name}: {len(plan.answers)} answers of {predicted} tokens, threads={threads}")
    print(
        f"fidelity {passes['fidelity'][0]:.1f} tokens/s, prefill {passes['prefill'][0]:.1f} tokens/s: "
        f"{passes['fidelity'][0] / passes['prefill'][0]:.2f}"
    )
    print(
        f"seconds per answer: fidelity {per_answer:.3f}, generation {generated:.3f}: "
        f"{per_answer / generated:.3f}"
    )
    return 0


def _generation_seconds(run_path: Path, plan: Plan) -> float:
    from evalkit.run.generations import read_generations

    names = {answer.name for answer in plan.answers}
    took = [a.latency_s for a in read_generations(run_path / "generations.jsonl") if a.name in names]
    return sum(took) / len(took)


def buckets(run_path: Path, path: Path, given: Arguments) -> int:
    """Print the mean KL at each K and the share of the full one that it finds."""
    import tempfile

    from evalkit.fidelity.divergence import divergence

    sums: dict[int, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="evalkit-bench-") as scratch:
        log = Path(scratch) / "log"
        plan, file, threads = _opened(run_path, given, log)
        with _model(file.path, plan, threads, log) as one, _model(path, plan, threads, log) as other:
            for answer in plan.answers:
                reference = one.top(answer.forced(one.ends), one.vocabulary).rows
                found = other.at(answer.forced(reference.targets[-1:].tolist()), reference.ids).rows
                for count in (*_TOPS, one.vocabulary):
                    p, q = reference.logp[:, :count], found.logp[:, :count]
                    rest = [1 - np.exp(x.astype(np.float64)).sum(axis=1) for x in (p, q)]
                    left = [np.zeros_like(r) if count == one.vocabulary else np.maximum(r, 0) for r in rest]
                    sums.setdefault(count, []).extend(divergence(p, left[0], q, left[1]).tolist())
    full = float(np.mean(sums[max(sums)]))
    print(
        f"{path.name} against {file.path.name}: {len(sums[max(sums)])} tokens of {len(plan.answers)} answers"
    )
    for count, values in sums.items():
        mean = float(np.mean(values))
        name = "all" if count == max(sums) else str(count)
        print(f"K = {name:>3}: mean KL {mean:.6f} nats, {100 * mean / full:.2f} % of the full one")
    return 0


def digits(run_path: Path, path: Path, given: Arguments) -> int:
    """Print mean KL by kind of token of a file with damaged digits."""
    import tempfile

    from evalkit.fidelity.classes import TITLES
    from evalkit.fidelity.engine import default_threads
    from evalkit.fidelity.gguf import reference_file
    from evalkit.fidelity.measure import Settings, measure
    from evalkit.fidelity.plan import check_reference
    from evalkit.run.runner import read_run

    run = read_run(run_path, given.text("data.dir") or None)
    check_reference(run)
    settings = Settings(
        limit=given.optional_whole("limit"),
        benchmarks=tuple(given.names("benchmark")),
        threads=given.optional_whole("threads") or default_threads(),
    )
    with tempfile.TemporaryDirectory(prefix="evalkit-bench-") as scratch:
        damaged = Path(scratch) / f"damaged-{path.name}"
        rows = damage_digits(path, damaged)
        found = measure(run, reference_file(run, None), [damaged], Path(scratch) / "out", settings)
    print(f"{rows} rows of the output matrix in 2 bits")
    for name, part in found.files[0].benchmarks.items():
        for kind, means in part.by_class.items():
            kl = means.kl
            print(
                f"{name}: {TITLES[kind]}: {kl.value:.4f} [{kl.low:.4f}, {kl.high:.4f}], {means.tokens} tokens"
            )
    return 0


_BLOCK = np.dtype([("scale", "<f2"), ("values", "i1", 32)])  # of Q8_0


def damage_digits(path: Path, copy: Path) -> int:
    """Copy a file with 2 bits per weight in the output rows of tokens that hold a digit; how many they are.

    Raises:
        UserError: it has no output matrix in Q8_0.
    """
    import shutil

    from gguf import GGUFReader

    from evalkit.weights.gguf import read_header

    header = read_header(path)
    output = next((tensor for tensor in header.tensors if tensor.name == "output.weight"), None)
    if output is None or output.type != "Q8_0":
        raise UserError(f"{path.name} has no output matrix in Q8_0")
    field = GGUFReader(path).fields["tokenizer.ggml.tokens"]
    texts = [bytes(field.parts[place]) for place in field.data]
    places = [number for number, text in enumerate(texts) if any(0x30 <= byte <= 0x39 for byte in text)]
    shutil.copyfile(path, copy)
    offset = header.data_offset + output.offset
    weights = np.memmap(copy, _BLOCK, "r+", offset, (output.shape[1], output.shape[0] // 32))
    coarse = np.round(weights["values"][places].astype(np.int16) / 85) * 85  # -85, 0 or 85: at most 2 bits
    weights["values"][places] = coarse.astype(np.int8)
    weights.flush()
    return len(places)


_SIMULATED = 4000
_BOOTSTRAPPED = 300


def intervals() -> int:
    """Print coverage by distribution and number of clusters."""
    from scipy.stats import bootstrap
    from scipy.stats import t as student

    print(f"{'values':<14}{'n':>5}{'log t':>8}{'t':>8}{'BCa':>8}   coverage of 95 % intervals")
    for name, draws, mean in _distributions():
        for n in (10, 20, 40, 100):
            values = draws((_SIMULATED, n))
            middle, error = values.mean(1), values.std(1, ddof=1) / np.sqrt(n)
            quantile = student.ppf(0.975, n - 1)
            plain = np.mean(np.abs(middle - mean) <= quantile * error)
            lopsided = np.mean(np.abs(np.log(middle / mean)) <= quantile * error / middle)
            hits = 0
            for row in values[:_BOOTSTRAPPED]:
                found = bootstrap(
                    (row,), np.mean, n_resamples=999, method="BCa", rng=np.random.default_rng(1)
                ).confidence_interval
                hits += found.low <= mean <= found.high
            print(f"{name:<14}{n:>5}{lopsided:>8.3f}{plain:>8.3f}{hits / _BOOTSTRAPPED:>8.3f}")
    return 0


def _distributions() -> Iterator[tuple[str, Callable[[tuple[int, int]], Any], float]]:
    random = np.random.default_rng(0)
    yield "lognormal 1", lambda size: random.lognormal(0, 1, size), float(np.exp(0.5))
    yield "lognormal 1.5", lambda size: random.lognormal(0, 1.5, size), float(np.exp(1.125))
    yield "gamma 0.5", lambda size: random.gamma(0.5, 1, size), 0.5
    yield "gamma 2", lambda size: random.gamma(2, 1, size), 2.0

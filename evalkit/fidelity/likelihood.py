"""Log-likelihood scoring: of the options that may be answered, the one that a file finds likeliest.

As lm-evaluation-harness scores multiple choice (`acc`, without length normalization): the log-probability of
each option's text after the prompt, token by token. The text is what the prompts of these benchmarks ask for,
`\\boxed{OPTION}`, without the reasoning before it. A probability over the options is the softmax of their
log-probabilities: the file's own, given that it answers one of them that way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.children.arrays import Content
from evalkit.fidelity.engine import CONTEXT_STEP, LogProbs, Options, require_library
from evalkit.fidelity.gguf import ReferenceFile
from evalkit.fidelity.plan import (
    ForcedAnswer,
    chosen_items,
    require_same_prompt,
    with_cuts,
)
from evalkit.fidelity.store import SUFFIX, Store, claimed, file_name, locked
from evalkit.metrics import counting_rule
from evalkit.run.info import Run
from evalkit.schema import Estimate, Item, UserError
from evalkit.stats.paired import mean_estimate
from evalkit.weights.gguf import GGUFHeader, sha256_of_model

FORM = "\\boxed{{{}}}"
"""How an option is answered."""

_BINS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Items of similar confidence: its mean, and the share whose likeliest option is right."""

    confidence: float
    accuracy: float
    n: int


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """One file on one benchmark, as fractions of 1.

    `accuracy` is that of the likeliest option, `gold` the mean probability of the right one,
    `calibration_error` the expected one (Guo et al. 2017, arXiv 1706.04599: ten bins of equal width by the
    likeliest option's probability). `generated` is the accuracy of the run's own answers to the same items,
    under the rule that counts there; None where the run is another file's.
    """

    accuracy: Estimate
    gold: Estimate
    calibration_error: float
    bins: tuple[ReliabilityBin, ...]
    generated: Estimate | None


@dataclass(frozen=True, slots=True)
class FileLikelihoods:
    """One file's figures by benchmark (`kind_of`). `seconds` are those of all its items, in all sessions."""

    name: str
    sha256: str
    benchmarks: Mapping[str, Likelihoods]
    seconds: float = field(compare=False)


@dataclass(frozen=True, slots=True)
class OptionScores:
    """All files' figures, and the folder of what was computed."""

    folder: Path
    run_id: str
    files: tuple[FileLikelihoods, ...]


@dataclass(frozen=True, slots=True)
class _Case:
    """An item with the forced answers of its options, in their order."""

    item: Item
    options: tuple[str, ...]
    answers: tuple[ForcedAnswer, ...]


def score_options(
    run: Run,
    reference: ReferenceFile,
    headers: Sequence[GGUFHeader],
    out: Path,
    *,
    limit: int | None = None,
    benchmarks: Sequence[str] = (),
    threads: int = 1,
    gpu_layers: int = -1,
    say: Callable[[str], None] = lambda _: None,
) -> OptionScores:
    """The figures of each file, in the order given.

    Args:
        run: whose prompts are asked; `reference` is the file that made it, and tokenizes them.
        headers: of files of the reference's vocabulary.
        out: the folder below which what was computed is kept.
        limit: items with options per benchmark at most; benchmarks: as of `make_plan`.

    Raises:
        UserError: no item has options, or a prompt is not what the run recorded.
        EngineUnusable: llama.cpp was ended.
    """
    identity = {
        "schema": 1,
        "kind": "loglikelihood",
        "library": require_library(),
        "reference": reference.sha256,
        **reference.conditions,
    }
    folder = claimed(out, run, identity)
    log = folder / "engine.log"
    cases = _cases(run, reference, log, limit, benchmarks)
    found = []
    with locked(folder):
        for header in headers:
            digest = sha256_of_model(header.parts or (header.path,))
            with Store(folder / f"{file_name(header.path, digest)}{SUFFIX}") as store:
                options = Options(
                    str(header.path),
                    _context(cases),
                    threads,
                    gpu_layers=gpu_layers,
                    flash_attention=reference.flash_attention,
                )
                _compute(header, options, log, cases, store, say)
                found.append(_figures(run, header, digest, cases, store))
    return OptionScores(folder, run.info.run_id, tuple(found))


def options_of(item: Item) -> tuple[str, ...]:
    """What may be answered to an item, where that is a closed set that the right answer is in; else none."""
    options = ("yes", "no") if item.gold_kind == "yes_no" else tuple(item.choices)
    return options if item.gold in options else ()


def kind_of(item: Item) -> str:
    """What its figures stand under: its benchmark; apart, the yes/no questions among a benchmark's others."""
    return f"{item.benchmark}, yes/no" if item.gold_kind == "yes_no" else item.benchmark


def _cases(
    run: Run, reference: ReferenceFile, log: Path, limit: int | None, benchmarks: Sequence[str]
) -> list[_Case]:
    some = [
        item
        for items in chosen_items(run, None, benchmarks).values()
        for item in [each for each in items if options_of(each) and each.samples][:limit]
    ]
    if not some:
        raise UserError(
            f"{run.path}: none of its items has options to choose from: tfns, ant_finance's choices and "
            "yes/no questions have"
        )
    samples = [item.samples[0] for item in some]
    texts = list(dict.fromkeys(FORM.format(option) for item in some for option in options_of(item)))
    prompts, made_of = reference.tokens_of([sample.messages for sample in samples], texts, log)
    tokens = dict(zip(texts, made_of, strict=True))
    made = []
    for item, sample, prompt in zip(some, samples, prompts, strict=True):
        name = (item.benchmark, item.id, item.turn, sample.number)
        require_same_prompt(run, name, sample, prompt)
        options = options_of(item)
        answers = tuple(
            ForcedAnswer(name, item.group, prompt, found.tokens, found.sizes, False, FORM.format(option))
            for option in options
            for found in [tokens[FORM.format(option)]]
        )
        made.append(_Case(item, options, answers))
    return made


def _context(cases: Sequence[_Case]) -> int:
    longest = max(len(answer.fed) for case in cases for answer in case.answers)
    return -(-longest // CONTEXT_STEP) * CONTEXT_STEP


def _compute(
    header: GGUFHeader,
    options: Options,
    log: Path,
    cases: Sequence[_Case],
    store: Store,
    say: Callable[[str], None],
) -> None:
    """Add what a store lacks: each option's log-probability."""
    answers = with_cuts([answer for case in cases for answer in case.answers])
    missing = [answer for answer in answers if answer.key not in store]
    if not missing:
        return
    with LogProbs(header, options, log) as model:
        for number, answer in enumerate(missing, len(answers) - len(missing) + 1):
            computed = model.top(answer.forced([]), 1)
            arrays: dict[str, NDArray[Any]] = {"taken": computed.rows.taken}
            store.append(answer.key, Content({"seconds": round(computed.seconds, 4)}, arrays))
            say(f"{header.path.name}: {number}/{len(answers)}")


def _figures(
    run: Run, header: GGUFHeader, digest: str, cases: Sequence[_Case], store: Store
) -> FileLikelihoods:
    contents = [[store.get(answer.key) for answer in case.answers] for case in cases]
    by_benchmark: dict[str, list[tuple[Item, NDArray[np.float64]]]] = {}
    for case, found in zip(cases, contents, strict=True):
        scores = np.array([content.arrays["taken"].sum() for content in found])
        by_benchmark.setdefault(kind_of(case.item), []).append((case.item, softmax(scores)))
    own = digest == run.info.engine.weights_sha256
    return FileLikelihoods(
        name=header.path.name,
        sha256=digest,
        benchmarks={name: _likelihoods(run, rows, own) for name, rows in by_benchmark.items()},
        seconds=sum(float(content.head["seconds"]) for found in contents for content in found),
    )


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities from log-likelihoods."""
    weights = np.exp(scores - scores.max())
    found: NDArray[np.float64] = weights / weights.sum()
    return found


def _likelihoods(run: Run, rows: Sequence[tuple[Item, NDArray[np.float64]]], own: bool) -> Likelihoods:
    groups = [item.group for item, _ in rows]
    places = [options_of(item).index(item.gold) for item, _ in rows]
    right = [int(p.argmax()) == place for (_, p), place in zip(rows, places, strict=True)]
    bins = reliability([float(p.max()) for _, p in rows], right)
    benchmark = rows[0][0].benchmark
    rule = counting_rule([item for item, _ in rows], run.info.benchmarks[benchmark].rule)
    judged = [(value, item.group) for item, _ in rows if (value := item.value(rule)) is not None]
    return Likelihoods(
        accuracy=mean_estimate([float(each) for each in right], groups),
        gold=mean_estimate([float(p[place]) for (_, p), place in zip(rows, places, strict=True)], groups),
        calibration_error=sum(b.n * abs(b.accuracy - b.confidence) for b in bins) / len(rows),
        bins=bins,
        generated=(
            mean_estimate([value for value, _ in judged], [group for _, group in judged])
            if own and judged
            else None
        ),
    )


def reliability(confidences: Sequence[float], right: Sequence[bool]) -> tuple[ReliabilityBin, ...]:
    """Ten bins of equal width by confidence; those without items are left out."""
    values, hits = np.asarray(confidences), np.asarray(right, dtype=np.float64)
    place = np.minimum((values * _BINS).astype(int), _BINS - 1)
    return tuple(
        ReliabilityBin(
            float(values[place == k].mean()), float(hits[place == k].mean()), int((place == k).sum())
        )
        for k in range(_BINS)
        if (place == k).any()
    )

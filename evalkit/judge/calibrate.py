"""How often a judge is right, by labels, and what its scores come to when that is taken into account.

Labels have two sources. ``rule``: every answer that the default rule decides has one, and a simple random
sample of n answers is used. ``people``: labels from files. Which items are estimated from which:

- People's labels: the answers without a label, at most n of them at random, are judged; the labelled
  ones say how wrong the judge is. Where (nearly) every answer is labelled, half of them are held back.
- Rule: half of the sample is held back. Its labels are known, so the estimate can be checked with them.

Halves consist of whole groups (pages, dialogues), so that they are independent. Both estimates take the
labelled items and the estimated ones as drawn from the same answers, which a random sample is; of people's
labels that is the labeller's to see to (`evalkit judge label` draws such a sample: benchmarks
evenly, strata in proportion). Every draw is by a stable hash: the same run and seed, the same sample.

The result is written as calibration.json and calibration.md, with the agreement in plain words.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from evalkit.judge.judge import Subject
from evalkit.judge.labels import LabelMatches
from evalkit.judge.prompt import SWAPS, Case, Swap
from evalkit.run.judgements import read_ledger
from evalkit.schema import Estimate, Judgement, Name, rank
from evalkit.stats.judged import Agreement, JudgedScore, Kappa, Refusal, Share, agreement, flip_rate
from evalkit.text import code, plain, table

JudgeCall = Callable[[Sequence[Case]], list[Judgement]]
Source = Literal["rule", "people"]

_FEW = 20  # fewer unlabelled answers than this are not worth an estimate of their own


@dataclass(frozen=True, slots=True)
class Design:
    """Which answers of one benchmark are labelled, and which are estimated from them.

    ``held_back``: the estimated ones have labels too, which the estimate is not given.
    """

    source: Source
    labels: Mapping[Name, bool]
    labelled: list[Subject]
    estimated: list[Subject]
    held_back: bool
    borderline: int = 0

    @property
    def subjects(self) -> list[Subject]:
        return [*self.labelled, *self.estimated]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A judge against one source of labels, on one benchmark of one run.

    ``agreement`` is over every labelled answer, ``n`` of them. ``corrected`` and ``powered`` (both with the
    raw score) are of the ``estimated`` answers, None without any of these or of labels. ``truth`` is the
    labels' own score of the estimated answers, where those were held back. ``errors`` counts the verdicts
    that are missing, by kind; their items are left out of everything.
    """

    benchmark: str
    source: Source
    n: int
    estimated: int
    agreement: Agreement
    corrected: JudgedScore | None
    powered: JudgedScore | None
    truth: Estimate | None
    held_back: bool
    borderline: int
    errors: Counter[str]


@dataclass(frozen=True, slots=True)
class SwapFlips:
    """Verdicts of one benchmark that changed when the fields' order, or the language, was changed."""

    benchmark: str
    swap: Swap
    changed: Share
    errors: Counter[str]


def designs(
    subjects: Sequence[Subject], people: LabelMatches | None, n: int | None, seed: int
) -> list[Design]:
    """The designs that one benchmark's answers allow: by the rule, by people's labels, both or none.

    Args:
        n: how many answers without a label of people's are judged; None for all.
    """
    found = []
    by_rule = [subject for subject in subjects if subject.rule is not None]
    if by_rule:
        labels = {subject.name: bool(subject.rule) for subject in by_rule}
        found.append(Design("rule", labels, *halves(shuffled(by_rule, seed)[:n], seed), held_back=True))
    if people is not None:
        design = _by_people(subjects, people, n, seed)
        found += [design] if design else []
    return found


def _by_people(subjects: Sequence[Subject], people: LabelMatches, n: int | None, seed: int) -> Design | None:
    labelled = [subject for subject in subjects if subject.name in people.decided]
    if not labelled:
        return None
    borderline = sum(subject.name in people.borderline for subject in subjects)
    rest = [subject for subject in subjects if subject.name not in people.verdicts]
    estimated = shuffled(rest, seed)[:n]
    held_back = len(estimated) < _FEW
    if held_back:
        labelled, estimated = halves(labelled, seed)
    return Design("people", people.decided, labelled, estimated, held_back, borderline)


def calibrate(
    benchmark: str, found: Sequence[Design], judge: JudgeCall, threshold: float
) -> tuple[list[Calibration], list[SwapFlips]]:
    """Judge what the designs of one benchmark ask for, and once more with every swap.

    Args:
        threshold: the grade from which on an answer counts as right.
    """
    subjects = list({subject.name: subject for design in found for subject in design.subjects}.values())
    cases = [subject.case for subject in subjects]
    # In one call: an engine may size itself by the longest prompt of a call.
    said = judge([*cases, *(turned(case) for turned in SWAPS.values() for case in cases)])
    count = len(cases)
    first = said[:count]
    judged = dict(zip((subject.name for subject in subjects), first, strict=True))
    calibrations = [calibration(benchmark, design, judged, threshold) for design in found]
    flipped = [
        flips(benchmark, swap, first, said[count * turn : count * (turn + 1)], threshold)
        for turn, swap in enumerate(SWAPS, 1)
    ]
    return calibrations, flipped


def flips(
    benchmark: str, swap: Swap, first: Sequence[Judgement], second: Sequence[Judgement], threshold: float
) -> SwapFlips:
    """How many verdicts changed, of the cases with a verdict both times."""
    pairs = [
        (before, after)
        for a, b in zip(first, second, strict=True)
        if (before := verdict(a, threshold)) is not None and (after := verdict(b, threshold)) is not None
    ]
    changed = flip_rate([before for before, _ in pairs], [after for _, after in pairs])
    return SwapFlips(benchmark, swap, changed, _errors(second))


def calibration(
    benchmark: str, design: Design, judged: Mapping[Name, Judgement], threshold: float
) -> Calibration:
    """The judge's verdicts against the labels of a design."""
    from evalkit.stats.paired import mean_estimate

    said = ((name, verdict(judgement, threshold)) for name, judgement in judged.items())
    verdicts = {name: each for name, each in said if each is not None}
    labelled = [subject for subject in design.labelled if subject.name in verdicts]
    estimated = [subject for subject in design.estimated if subject.name in verdicts]
    known = [*labelled, *estimated] if design.held_back else labelled
    truth = None
    if design.held_back and estimated:
        truth = mean_estimate([float(design.labels[s.name]) for s in estimated], [s.group for s in estimated])
    corrected, powered = _scores(labelled, estimated, verdicts, design.labels)
    return Calibration(
        benchmark=benchmark,
        source=design.source,
        n=len(known),
        estimated=len(estimated),
        agreement=agreement([verdicts[s.name] for s in known], [design.labels[s.name] for s in known]),
        corrected=corrected,
        powered=powered,
        truth=truth,
        held_back=design.held_back,
        borderline=design.borderline,
        errors=_errors([judged[subject.name] for subject in design.subjects]),
    )


def _scores(
    labelled: Sequence[Subject],
    estimated: Sequence[Subject],
    verdicts: Mapping[Name, bool],
    labels: Mapping[Name, bool],
) -> tuple[JudgedScore | None, JudgedScore | None]:
    from evalkit.stats.judged import LabelledItems, corrected, prediction_powered

    if not labelled or not estimated:
        return None, None
    pairs = LabelledItems(
        [float(verdicts[subject.name]) for subject in labelled],
        [float(labels[subject.name]) for subject in labelled],
        [subject.group for subject in labelled],
    )
    judged = [float(verdicts[subject.name]) for subject in estimated]
    clusters = [subject.group for subject in estimated]
    return corrected(judged, pairs, clusters), prediction_powered(judged, pairs, clusters)


def verdict(judgement: Judgement, threshold: float) -> bool | None:
    """Right or wrong by a judge; None where it did not say."""
    return None if judgement.ruling is None else judgement.ruling.score >= threshold


def _errors(judged: Sequence[Judgement]) -> Counter[str]:
    return Counter(judgement.error or "broken_reply" for judgement in judged if judgement.ruling is None)


CALIBRATION_SCHEMA = 1

_SOURCES: Mapping[Source, str] = {"rule": "rule", "people": "people"}
_REFUSALS: Mapping[Refusal, str] = {
    "few_labels": "too few labels",
    "uninformative": "q₀ + q₁ not above 1",
    "contradictory": "labels of another kind",
}


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """Everything that a calibration says of one run. ``unmatched``: labels that belong to no answer of it.

    ``judge`` is the judge's name and identity, ``settings`` how it was calibrated; both JSON-able.
    """

    model: str
    judge: Mapping[str, Any]
    settings: Mapping[str, Any]
    calibrations: Sequence[Calibration]
    flips: Sequence[SwapFlips]
    unmatched: int
    unanswered: Mapping[str, int]

    @property
    def errors(self) -> Counter[str]:
        """Verdicts that are missing, by kind; an answer with labels of both sources counts once for each."""
        found: Counter[str] = Counter()
        for errors in (*(each.errors for each in self.calibrations), *(each.errors for each in self.flips)):
            found.update(errors)
        return found


@dataclass(frozen=True, slots=True)
class CalibrationGrid:
    """A table as text."""

    title: str
    header: Sequence[str]
    rows: list[list[str]]


def calibration_json(report: CalibrationReport) -> str:
    """calibration.json: by benchmark and source of labels the agreement and the scores; the flips."""
    benchmarks: dict[str, dict[str, Any]] = {}
    for each in report.calibrations:
        benchmarks.setdefault(each.benchmark, {})[each.source] = _calibration(each)
    for flipped in report.flips:
        swaps = benchmarks.setdefault(flipped.benchmark, {}).setdefault("flips", {})
        swaps[flipped.swap] = {**_share(flipped.changed), "errors": dict(flipped.errors)}
    content = {
        "schema": CALIBRATION_SCHEMA,
        "model": report.model,
        "judge": report.judge,
        "settings": report.settings,
        "benchmarks": benchmarks,
        "labels_unmatched": report.unmatched,
        "unanswered": dict(report.unanswered),
    }
    return json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _calibration(found: Calibration) -> dict[str, Any]:
    agreed = found.agreement
    q1, q0 = agreed.sensitivity, agreed.specificity
    return {
        "n": found.n,
        "fit": fit(agreed),
        "finding": finding(agreed),
        "table": {
            "right_judged_right": q1.count,
            "right_judged_wrong": q1.n - q1.count,
            "wrong_judged_right": q0.n - q0.count,
            "wrong_judged_wrong": q0.count,
        },
        "kappa": asdict(agreed.kappa) if agreed.kappa else None,
        "sensitivity": _share(q1),
        "specificity": _share(q0),
        "accuracy": _share(agreed.accuracy),
        "estimated": found.estimated,
        "held_back": found.held_back,
        "raw": _estimate(found.corrected.raw if found.corrected else None),
        "corrected": _score(found.corrected),
        "prediction_powered": _score(found.powered),
        "labels": _estimate(found.truth),
        "borderline": found.borderline,
        "errors": dict(found.errors),
    }


def _share(found: Share) -> dict[str, Any]:
    return {"value": found.value, **asdict(found)}


def _estimate(found: Estimate | None) -> dict[str, Any] | None:
    return asdict(found) if found else None


def _score(found: JudgedScore | None) -> dict[str, Any] | None:
    """An estimate, or why there is none."""
    if found is None:
        return None
    return _estimate(found.estimate) if found.estimate else {"value": None, "refusal": found.refusal}


def calibration_markdown(report: CalibrationReport) -> str:
    """calibration.md"""
    parts = [
        f"# The judge on answers of {plain(report.model)}",
        f"Judge: {plain(str(report.judge['name']))}",
        "\n".join(f"- {line}" for line in findings(report)),
    ]
    for grid in grids(report):
        rows = [[code(row[0]), *row[1:]] for row in grid.rows]
        parts += [f"## {grid.title}", table(grid.header, rows, text_columns=2)]
    parts.append("\n".join(f"- {line}" for line in notes(report)))
    return "\n\n".join(parts) + "\n"


def findings(report: CalibrationReport) -> list[str]:
    """A sentence for each benchmark and source of labels."""
    by = {"rule": "by the rule's verdicts", "people": "by people's labels"}
    return [
        f"{each.benchmark}, {by[each.source]}: the judge {finding(each.agreement)}"
        for each in report.calibrations
    ]


def grids(report: CalibrationReport) -> list[CalibrationGrid]:
    """The tables: agreement, scores, flips."""
    agreed = ("Benchmark", "Labels", "n", "Right kept", "Wrong refused", "q₁ %", "q₀ %", "κ", "No verdict")
    scores = (
        "Benchmark",
        "Labels",
        "Estimated",
        "Raw %",
        "Corrected %",
        "Prediction-powered %",
        "Labels say %",
    )
    flips = ("Benchmark", "Changed", "Items", "Verdicts changed %", "No verdict")
    return [
        CalibrationGrid(
            "Agreement with labels", agreed, [_agreement_row(each) for each in report.calibrations]
        ),
        CalibrationGrid("Scores", scores, [_score_row(each) for each in report.calibrations]),
        CalibrationGrid("Same answers, judged again", flips, [_flip_row(each) for each in report.flips]),
    ]


def _agreement_row(found: Calibration) -> list[str]:
    agreed = found.agreement
    return [
        found.benchmark,
        _SOURCES[found.source],
        str(found.n),
        f"{agreed.sensitivity.count} of {agreed.sensitivity.n}",
        f"{agreed.specificity.count} of {agreed.specificity.n}",
        _percent(agreed.sensitivity),
        _percent(agreed.specificity),
        kappa_text(agreed.kappa) if agreed.kappa else "-",
        _errors_text(found.errors),
    ]


def _score_row(found: Calibration) -> list[str]:
    return [
        found.benchmark,
        _SOURCES[found.source],
        str(found.estimated),
        _percent(found.corrected.raw if found.corrected else None),
        _score_text(found.corrected),
        _score_text(found.powered),
        _percent(found.truth),
    ]


def _flip_row(found: SwapFlips) -> list[str]:
    what = {"order": "order of fields", "language": "language"}[found.swap]
    return [
        found.benchmark,
        what,
        str(found.changed.n),
        _percent(found.changed),
        _errors_text(found.errors),
    ]


def _score_text(found: JudgedScore | None) -> str:
    if found is None or found.refusal is None:
        return _percent(found.estimate if found else None)
    return _REFUSALS[found.refusal]


def _percent(found: Estimate | Share | None) -> str:
    if found is None or found.value is None:
        return "-"
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _errors_text(found: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(found.items())) or "0"


def notes(report: CalibrationReport) -> list[str]:
    """How to read the tables, and what was left out."""
    lines = [
        "q₁ (sensitivity): share of right answers that the judge calls right; q₀ (specificity): share of "
        "wrong ones that it calls wrong. Brackets are 95 % intervals: of κ, q₁, q₀ and flips for independent "
        "answers, of scores clustered by page, dialogue or file.",
        "Raw: what the judge says. Corrected: (raw + q₀ - 1) / (q₀ + q₁ - 1). Prediction-powered: the "
        "judge's mean, put right by its errors on the labelled answers. Both intervals carry the labels' "
        "own error. Where q₀ + q₁ is not above 1 beyond chance, nothing can be corrected: the judge tells "
        "right from wrong no better than a coin, or has too few labels to show that it does.",
        "Estimated answers are judged without the estimate knowing their labels. Where the last column has a "
        "value, their labels were held back, and the estimate should agree with it.",
    ]
    if any(each.source == "people" for each in report.calibrations):
        lines.append(
            "People's labels: the prediction-powered score holds if the labelled answers are a random "
            "sample of the run's, as `evalkit judge label` draws it; labels chosen by verdict bias it."
        )
    borderline = sum(each.borderline for each in report.calibrations)
    if borderline:
        lines.append(f"{borderline} borderline labels are left out.")
    if report.unmatched:
        lines.append(f"{report.unmatched} labels belong to no judged answer of this run.")
    for benchmark, count in report.unanswered.items():
        lines.append(f"{benchmark}: {count} outputs without an answer after the reasoning were not judged.")
    if report.errors:
        lines.append(f"No verdict, left out and not counted as wrong: {_errors_text(report.errors)}.")
    return lines


# Landis & Koch (1977), Biometrics 33: 159-174: from which κ on agreement has which name.
_STRENGTHS = ((0.8, "almost perfectly"), (0.6, "substantially"), (0.4, "moderately"), (0.2, "fairly"))
_WEAKEST = "slightly"
_SOLID = 0.4  # an interval that reaches here does not show a judge to be useless


def fit(found: Agreement) -> bool:
    """Whether the judge agrees with the labels better than chance, beyond doubt."""
    return found.kappa is not None and found.kappa.low > 0


def finding(found: Agreement) -> str:
    """What the labels say of the judge, as the end of a sentence that begins with "the judge"."""
    kappa, n = found.kappa, found.accuracy.n
    if kappa is None:
        return _without_kappa(found)
    shown = f"κ {kappa_text(kappa)}"
    if kappa.low > 0:
        strength = next((word for least, word in _STRENGTHS if kappa.value >= least), _WEAKEST)
        return f"agrees {strength} with the labels: {shown}; {_mistakes(found)}"
    if kappa.high < _SOLID:
        return f"agrees with the labels no better than chance: {shown}: it is not fit to judge"
    return f"cannot be told from chance with {n} labels: {shown}: not shown to be fit, label more"


def _without_kappa(found: Agreement) -> str:
    right, wrong, n = found.sensitivity, found.specificity, found.accuracy.n
    if not n:
        return "gave no verdict on any labelled answer: nothing is known of it"
    if not right.n or not wrong.n:
        label = "right" if right.n else "wrong"
        return f"agrees with {found.accuracy.count} of {n} labels, all of them '{label}': κ needs both kinds"
    said = "right" if right.count == right.n else "wrong"
    return f"calls every one of {n} answers {said}, so it tells nothing apart: it is not fit to judge"


def _mistakes(found: Agreement) -> str:
    """Both classes have items where there is a κ."""
    accepted = 100 * (1 - (found.specificity.value or 0.0))
    refused = 100 * (1 - (found.sensitivity.value or 0.0))
    return f"it accepts {accepted:.0f} % of the wrong answers and refuses {refused:.0f} % of the right"


def kappa_text(kappa: Kappa) -> str:
    """`0.02 [-0.05, 0.09]`"""
    return f"{kappa.value:.2f} [{kappa.low:.2f}, {kappa.high:.2f}]"


_T = TypeVar("_T")


def shuffled(subjects: Sequence[Subject], seed: int) -> list[Subject]:
    """The subjects in an order that depends on their names and `seed` only.

    The first n of it are a simple random sample, and a larger n contains the smaller. What is estimated from
    such a sample needs no weights.
    """
    return sorted(subjects, key=lambda subject: rank(seed, f"judged\0{subject.name!r}"))


def proportional(
    subjects: Sequence[Subject], n: int, seed: int, stratum: Callable[[Subject], Hashable]
) -> list[Subject]:
    """A random sample in which every stratum has its share of `n`, in one random order.

    Shares are rounded by the largest remainder, so each answer is as likely to be taken as any other: plain
    means over the sample are right without weights, and never less precise than from a simple random one
    (Cochran, Sampling Techniques, 3rd ed., section 5.6). Because the order is random, so is what was
    labelled by somebody who stops half-way.
    """
    strata: dict[Hashable, list[Subject]] = defaultdict(list)
    for subject in shuffled(subjects, seed):
        strata[stratum(subject)].append(subject)
    sizes = [len(members) for members in strata.values()]
    taken = [members[:k] for members, k in zip(strata.values(), _shares(sizes, n), strict=True)]
    return shuffled([subject for members in taken for subject in members], seed)


def _shares(sizes: Sequence[int], n: int) -> list[int]:
    """`n` shared out in proportion to `sizes`, by the largest remainder; at most all."""
    total = sum(sizes)
    if n >= total:
        return list(sizes)
    exact = [n * size / total for size in sizes]
    shares = [math.floor(share) for share in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda i: shares[i] - exact[i])
    for index in by_remainder[: n - sum(shares)]:
        shares[index] += 1
    return shares


def even(sizes: Sequence[int], n: int) -> list[int]:
    """`n` shared out evenly over benchmarks of these sizes; what a small one lacks goes to the others."""
    shares = [0] * len(sizes)
    left = n
    smallest_first = sorted(range(len(sizes)), key=lambda i: sizes[i])
    for position, index in enumerate(smallest_first):
        shares[index] = min(sizes[index], -(-left // (len(sizes) - position)))
        left -= shares[index]
    return shares


def halves(subjects: Sequence[Subject], seed: int) -> tuple[list[Subject], list[Subject]]:
    """Two parts with about the same number of groups and none in both, so that they are independent.

    Groups (pages, dialogues, files) alternate in hash order. With a single group the second part is empty.
    """
    groups = sorted({subject.group for subject in subjects}, key=lambda group: rank(seed, f"half\0{group}"))
    first = set(groups[::2])
    return (
        [subject for subject in subjects if subject.group in first],
        [subject for subject in subjects if subject.group not in first],
    )


def by(items: Sequence[_T], key: Callable[[_T], str]) -> dict[str, list[_T]]:
    """The items by a key, in the order of its first occurrence."""
    sorted_items: dict[str, list[_T]] = {}
    for item in items:
        sorted_items.setdefault(key(item), []).append(item)
    return sorted_items


def label_sample(subjects: Mapping[str, Sequence[Subject]], n: int, seed: int, folder: Path) -> list[Subject]:
    """`n` answers in random order: evenly from the benchmarks, within one in proportion to its strata.

    Strata are the default rule's verdict, the judge's where the run in `folder` has judgements, and the kind
    of answer asked for.

    Raises:
        UserError: the run's judgements cannot be read.
    """
    ledger = read_ledger(folder)
    judged = {name: entry.correct for name, entry in ledger.entries.items()} if ledger else {}

    def stratum(subject: Subject) -> Hashable:
        return subject.rule, judged.get(subject.name), subject.kind

    shares = even([len(of_one) for of_one in subjects.values()], n)
    chosen = [
        subject
        for of_one, share in zip(subjects.values(), shares, strict=True)
        for subject in proportional(of_one, share, seed, stratum)
    ]
    return shuffled(chosen, seed)

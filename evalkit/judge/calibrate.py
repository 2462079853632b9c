"""How often a judge is right, by labels, and what its scores come to when that is taken into account.

Labels have two sources. ``rule``: every answer that the default rule decides has one, and a simple random
sample of n answers is used. ``people``: labels from files. Which items are estimated from which:

- People's labels: the answers without a label, at most n of them at random, are judged; the labelled
  ones say how wrong the judge is. Where (nearly) every answer is labelled, half of them are held back.
- Rule: half of the sample is held back. Its labels are known, so the estimate can be checked with them.

Halves consist of whole groups (pages, dialogues), so that they are independent. Both estimates take the
labelled items and the estimated ones as drawn from the same answers, which a random sample is; of people's
labels that is the labeller's to see to (`evalkit judge label` draws such a sample).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evalkit.compare.comparison import Estimate
from evalkit.judge.case import Case, Judgement
from evalkit.judge.labels import Matched
from evalkit.judge.sample import halves, shuffled
from evalkit.judge.subject import Subject
from evalkit.judge.swap import SWAPS, Swap
from evalkit.runner.request import Name
from evalkit.stats.judged.agreement import Agreement, Share, agreement, flip_rate
from evalkit.stats.judged.score import JudgedScore

Judge = Callable[[Sequence[Case]], list[Judgement]]
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
class Flipped:
    """Verdicts of one benchmark that changed when the fields' order, or the language, was changed."""

    benchmark: str
    swap: Swap
    changed: Share
    errors: Counter[str]


def designs(subjects: Sequence[Subject], people: Matched | None, n: int | None, seed: int) -> list[Design]:
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


def _by_people(subjects: Sequence[Subject], people: Matched, n: int | None, seed: int) -> Design | None:
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
    benchmark: str, found: Sequence[Design], judge: Judge, threshold: float
) -> tuple[list[Calibration], list[Flipped]]:
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
) -> Flipped:
    """How many verdicts changed, of the cases with a verdict both times."""
    pairs = [
        (before, after)
        for a, b in zip(first, second, strict=True)
        if (before := verdict(a, threshold)) is not None and (after := verdict(b, threshold)) is not None
    ]
    changed = flip_rate([before for before, _ in pairs], [after for _, after in pairs])
    return Flipped(benchmark, swap, changed, _errors(second))


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
    from evalkit.stats.judged.corrected import corrected
    from evalkit.stats.judged.powered import prediction_powered
    from evalkit.stats.judged.score import Labelled

    if not labelled or not estimated:
        return None, None
    pairs = Labelled(
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

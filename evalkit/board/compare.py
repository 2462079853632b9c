"""Two files beside each other: a sentence, each benchmark's difference, what it costs, and the flips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from evalkit.board.decide import MOST_READ, Group, Row, verdict_words
from evalkit.compare.comparison import (
    RunComparison,
    comparisons,
    cost_rows,
    graded_pairs,
    judged,
    other_differences,
)
from evalkit.compare.needed import needed
from evalkit.compare.pairs import pair
from evalkit.fidelity.traces import Trace
from evalkit.flips import Flip, flips_of
from evalkit.report.compare import flip_cells, mixed
from evalkit.report.curves import panels
from evalkit.report.fidelity import told_apart
from evalkit.report.verdict import points, verdict_sentence, would
from evalkit.schema import AVERAGE, Comparison, Estimate, UserError
from evalkit.sweep.recommend import sizes
from evalkit.sweep.record import Sweep, overall
from evalkit.text import file_size, shown, size_text

MOST_EXAMPLES = 100_000
"""Examples compared for one group, over its pairs: above, files are compared with the reference only."""

MOST_COUPLES = 36
"""Couples without the reference, of nine files at most: each takes a twentieth of a second or more."""

FLIPS = 8
"""Flips that a pair shows itself; its counts link to all."""


@dataclass(frozen=True, slots=True)
class Line:
    """One benchmark, or the average over several (`name` is `average` there)."""

    name: str
    title: str
    words: str
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class ShownFlip:
    """What two files said to one example, as text. `id`, `turn` and `sample` name it in the answers' page."""

    kind: str
    benchmark: str
    id: str
    turn: int | None
    sample: int
    gold: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Pair:
    """`candidate` against `reference`. `reach`: the largest end of an interval, a fraction of 1.

    `costs` are (name, the reference's, the candidate's), `differences` settings that are not the same,
    `flips` some answers whose verdict changed. `wrong_counted`: whether flips to another wrong answer are
    counted. `nearer`: of divergences, where the reference is the sweep's.
    """

    anchor: str
    reference: Row
    candidate: Row
    sentence: str
    trade: list[str]
    lines: list[Line]
    reach: float
    costs: list[tuple[str, ...]]
    differences: list[tuple[str, str, str]]
    flips: list[ShownFlip]
    wrong_counted: bool
    nearer: list[Nearer] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Nearer:
    """A candidate's KL less that of `label`, which is next nearer to the reference, paired by answer.

    `apart`: `yes`, `no`, or `-` where there is no interval.
    """

    label: str
    benchmark: str
    kl: Estimate
    apart: str


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of an answer. `level`: 0 to 4, how far the file is from the reference there.

    `instead`: what the file would have said; None where it would have said the same. `first`: where it
    leaves.
    """

    text: str
    level: int = 0
    kl: float = 0.0
    instead: str | None = None
    first: bool = False


LEVELS = (0.05, 0.2, 0.5, 1.0)
"""Nats from which on a token's colour is one deeper."""

LEAVES = 8
"""Places of an answer at which it is said in words what the file would have said."""


def spans_of(trace: Trace) -> list[Span]:
    """An answer in pieces. A record may be anybody's: marks that are out of place are left out."""
    found: list[Span] = []
    at, left = 0, False
    for mark in trace.marks:
        if not at <= mark.start <= mark.end <= len(trace.text):
            continue
        if mark.start > at:
            found.append(Span(trace.text[at : mark.start]))
        leaves = mark.instead is not None
        level = sum(mark.kl >= least for least in LEVELS)
        text = trace.text[mark.start : mark.end]
        found.append(Span(text, level, mark.kl, mark.instead, leaves and not left))
        at, left = mark.end, left or leaves
    if at < len(trace.text):
        found.append(Span(trace.text[at:]))
    return found


def leaves_of(trace: Trace) -> list[Span]:
    """The first places at which the file would have gone on otherwise."""
    return [span for span in spans_of(trace) if span.instead is not None][:LEAVES]


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of one group, those with its reference first."""

    group: Group
    pairs: list[Pair]


def pairs_of(groups: Sequence[Group]) -> list[Pairs]:
    """The groups in which something compares."""
    found = [Pairs(group, list(_pairs(group))) for group in groups if group.reference]
    return [each for each in found if each.pairs]


def _pairs(group: Group) -> Iterator[Pair]:
    base, margin = group.reference, group.sweep.margin
    assert base is not None, "only groups with a reference have pairs"
    others = [row for row in group.rows if row is not base]
    for row in others:
        compared = _compared(base, row, margin)
        if row.member.comparisons:
            yield _pair(group, base, row, row.member.comparisons, compared, group.wrong_counted)
    ready = [row for row in others if row.run and row.comparison]
    examples = max((len(row.run.run.items) for row in ready if row.run), default=0)
    couples = list(combinations(ready, 2))
    if len(couples) > MOST_COUPLES or len(couples) * examples > MOST_EXAMPLES:
        return
    found = [(one, other, compared) for one, other in couples if (compared := _compared(one, other, margin))]
    # Whoever picks among all couples tests all of them: they are one family.
    wrong = len(couples) * examples <= MOST_READ
    family = judged([comparisons(compared.pairs, margin, wrong=wrong) for _, _, compared in found], margin)
    for (one, other, compared), tested in zip(found, family, strict=True):
        yield _pair(group, one, other, tested, compared, wrong)


def _compared(reference: Row, candidate: Row, margin: float) -> RunComparison | None:
    """What the two runs have of each other, apart from tests; None if they cannot be compared."""
    if reference.run is None or candidate.run is None:
        return None
    ours, theirs = candidate.run.run, reference.run.run
    try:
        pairs = pair(ours, theirs, same_examples=False)
    except UserError:
        return None
    differences = other_differences(ours, theirs)
    return RunComparison(theirs, ours, "", margin, pairs, [], differences, same_weights=False)


def _pair(
    group: Group,
    reference: Row,
    candidate: Row,
    found: Sequence[Comparison],
    compared: RunComparison | None,
    wrong_counted: bool,
) -> Pair:
    titles = dict(panels(group.sweep)) | {AVERAGE: "Average"}
    by_name = {each.benchmark: each for each in found}
    decisive = overall(candidate.member) if reference is group.reference else None
    decisive = decisive or by_name.get(AVERAGE) or (found[0] if len(found) == 1 else None)
    order = [name for name in titles if name in by_name]
    lines = [
        Line(name, titles[name], verdict_words(by_name[name], group.sweep.margin), by_name[name])
        for name in order
    ]
    ends = [abs(end) for each in found for end in (each.difference.low, each.difference.high)]
    return Pair(
        anchor=f"{group.anchor}-{group.rows.index(reference)}-{group.rows.index(candidate)}",
        reference=reference,
        candidate=candidate,
        sentence=_sentence(group.sweep, reference, candidate, decisive, found),
        trade=list(_trade(reference, candidate, by_name)),
        lines=lines,
        reach=max(ends, default=1.0) or 1.0,
        costs=cost_rows(compared.reference, compared.candidate) if compared else [],
        differences=[(name, shown(a), shown(b)) for name, a, b in compared.differences] if compared else [],
        flips=[_flip(each) for each in mixed(_verdict_flips(compared), FLIPS)] if compared else [],
        wrong_counted=wrong_counted,
        nearer=list(_nearer(group, candidate)) if reference is group.reference else [],
    )


def _nearer(group: Group, candidate: Row) -> Iterator[Nearer]:
    labels, titles = {row.member.name: row.label for row in group.rows}, dict(panels(group.sweep))
    for each in group.sweep.kl_differences:
        if each.file == candidate.member.name:
            title = titles.get(each.benchmark, each.benchmark)
            yield Nearer(labels.get(each.other, each.other), title, each.kl, told_apart(each.kl))


def _verdict_flips(compared: RunComparison) -> Iterator[Flip]:
    """The flips from right to wrong and back."""
    for paired in compared.pairs:
        yield from flips_of(graded_pairs(paired), wrong=False)


def _sentence(
    sweep: Sweep, reference: Row, candidate: Row, decisive: Comparison | None, found: Sequence[Comparison]
) -> str:
    if decisive is None:
        return f"{candidate.label} and {reference.label} have no answers in common that are scored."
    n, kind = decisive.difference.n, decisive.verdict.kind
    if kind == "as_good":
        within = points(sweep.margin)
        return f"{candidate.label} is as good as {reference.label} (within {within}), over {n:,} questions."
    if kind == "unresolved":
        more = would(needed(decisive, found, sizes(sweep)), sweep.source, one=len(found) == 1)
        return f"No answer yet: {n:,} questions cannot tell {candidate.label} from {reference.label}{more}."
    said = verdict_sentence(decisive, sweep.margin)
    return f"{candidate.label} is {said} than {reference.label}, over {n:,} questions."


def _trade(reference: Row, candidate: Row, found: dict[str, Comparison]) -> Iterator[str]:
    """What the candidate gives and takes, in short."""
    ours, theirs = candidate.member.cost, reference.member.cost
    if ours and theirs and ours.decode_tokens_per_second and theirs.decode_tokens_per_second:
        ratio = ours.decode_tokens_per_second / theirs.decode_tokens_per_second
        yield f"{ratio:.1f}× the speed"
    if candidate.need and reference.need:
        yield _less(reference.need.bytes - candidate.need.bytes, "memory", size_text)
    if candidate.member.weights and reference.member.weights:
        yield _less(
            reference.member.weights.size_bytes - candidate.member.weights.size_bytes, "on disk", file_size
        )
    flips = [each.flips for name, each in found.items() if each.flips and name != AVERAGE]
    if flips:
        lost, won = sum(each.right_to_wrong for each in flips), sum(each.wrong_to_right for each in flips)
        yield f"{lost:,} {'answer' if lost == 1 else 'answers'} lost, {won:,} won"


def _less(saved: int, what: str, text: Callable[[int], str]) -> str:
    return f"{text(abs(saved))} {'less' if saved >= 0 else 'more'} {what}"


def _flip(flip: Flip) -> ShownFlip:
    kind, benchmark, _, gold, before, after = flip_cells(flip)
    item = flip.reference.item
    return ShownFlip(
        kind=kind,
        benchmark=benchmark,
        id=item.id,
        turn=item.turn,
        sample=flip.reference.sample.number,
        gold=item.printed or gold,
        before=before,
        after=after,
    )

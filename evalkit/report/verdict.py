"""A verdict in words: on one comparison, on a sweep, and what would settle one that is open."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evalkit.compare.needed import SAMPLE, Needed
from evalkit.schema import Comparison, Estimate, VerdictKind
from evalkit.sweep.recommend import foretold, needed_of, seconds_for
from evalkit.sweep.record import Member, Sweep, overall
from evalkit.text import duration, percent, tenths

OPEN = "no answer yet"
NEAR = "token by token within the engine's noise"

WORDS: dict[VerdictKind, str] = {
    "as_good": "as good",
    "worse": "worse",
    "better": "better",
    "unresolved": OPEN,
}


def verdict_sentence(comparison: Comparison, margin: float, needed: Needed | None = None) -> str:
    """The verdict in words, the difference in points with its 95 % interval.

    Args:
        margin: a fraction of 1.
        needed: what would settle it, if it is open.
    """
    kind = comparison.verdict.kind
    if kind == "as_good":
        return f"as good as the reference (within {points(margin)})"
    if kind in ("worse", "better"):
        return f"{kind} by {size_of(comparison)} points"
    if needed is not None and needed.kind == "limit":
        return f"{OPEN} (limit={needed.limit} would tell)"
    return f"{OPEN} (never: too few questions)" if needed is not None and needed.kind == "never" else OPEN


def size_of(comparison: Comparison) -> str:
    """How far the two are apart, without a sign: `2.8 [1.1, 4.6]`; for one that is better or worse."""
    found = comparison.difference
    if comparison.verdict.kind == "better":
        return _by(found.value, found.low, found.high)
    return _by(-found.value, -found.high, -found.low)


def _by(value: float, low: float, high: float) -> str:
    return f"{tenths(value)} [{tenths(low)}, {tenths(high)}]"


def points(fraction: float) -> str:
    """A fraction of 1 in points: `2 points`, `1 point`, `0.5 points`."""
    number = f"{100 * fraction:g}"
    return f"{number} point" if number == "1" else f"{number} points"


def limit_word(limit: int, source: str) -> str:
    """What to type: `limit=1600`. The bundled samples are a few records, so there the data too."""
    return f"`data=hub limit={limit}`" if source == SAMPLE else f"`limit={limit}`"


def about(seconds: float | None) -> str:
    """` (about 9 h here)`, "" where it is not known."""
    return "" if seconds is None else f" (about {duration(seconds)} here)"


def too_few(needed: Needed, one: bool) -> str:
    """Why no limit would do: `never: the benchmarks have too few (7,368 questions)`."""
    count = f" ({needed.available:,} questions)" if needed.available is not None else ""
    return f"never: the {'benchmark has' if one else 'benchmarks have'} too few{count}"


def would(needed: Needed | None, source: str, *, one: bool, seconds: float | None = None) -> str:
    """What would settle an open comparison, behind "… cannot tell A from B"; "" where that is not known.

    Args:
        source: of the data, as in configs/data/.
        one: whether one benchmark was compared, and not several.
        seconds: what the questions that are asked more take, if that is known.
    """
    if needed is None or needed.kind == "unknown":
        return ""
    if needed.kind == "never":
        return f"; {too_few(needed, one)}"
    return f"; {limit_word(needed.limit, source)} would{about(seconds)}"


def sweep_answer(
    sweep: Sweep, fit: Sequence[Member], unfit: Sequence[Member], shown: Callable[[str], str]
) -> str:
    """Which file to deploy, in one sentence: the choice, or why there is none and what would give one.

    Args:
        fit: what can be chosen, in the rule's order (see `evalkit.sweep.recommend`).
        unfit: what could, if it were not unfit.
        shown: makes a text of the sweep's record fit to be shown.
    """
    if not fit:
        which = "the only file" if len(unfit) == 1 else f"each of the {len(unfit)} files"
        return f"No answer: {which} to choose from is unfit." if unfit else "No answer: no file was measured."
    chosen = fit[0]
    title, verdict = shown(chosen.title), overall(chosen)
    open_ = [each for each in fit if _is(each, "unresolved")]
    if chosen.name == sweep.reference:
        others = [each for each in fit if overall(each) is not None]
        if others and len(open_) == len(others):
            first = to_test_first(sweep, open_, shown)
            return f"{open_answer(sweep, open_)} Until then: {title}, the reference.{first}"
        return f"Deploy {title}, the reference: no other is shown to be as good."
    if foretold(sweep, chosen) == "near":
        return near_answer(sweep, chosen, title)
    if verdict is None:
        return "No answer: no file could be compared with the reference."
    asked = f"on {verdict.difference.n:,} questions"
    if verdict.verdict.kind == "unresolved":
        return f"{open_answer(sweep, open_)}{to_test_first(sweep, open_, shown)}"
    if verdict.verdict.kind == "worse":
        return (
            f"Every file that can be chosen is worse than the reference: {title} loses least, "
            f"{size_of(verdict)} points {asked}."
        )
    return f"Deploy {title}: {verdict_sentence(verdict, sweep.margin)}, {asked}."


def _is(member: Member, kind: VerdictKind) -> bool:
    verdict = overall(member)
    return verdict is not None and verdict.verdict.kind == kind


def near_answer(sweep: Sweep, member: Member, title: str) -> str:
    """That a file is as good as the reference token by token, and that accuracy does not say it yet."""
    assert member.fidelity is not None, "what is near was measured"
    comparison, answers = overall(member), member.fidelity.overall.kl.n
    accuracy = (
        verdict_sentence(comparison, sweep.margin, needed_of(sweep, member, comparison))
        if comparison
        else OPEN
    )
    return f"Deploy {title}: {NEAR}, on {answers:,} of the reference's answers; on accuracy {accuracy}."


def foretold_words(sweep: Sweep, member: Member) -> str:
    """What fidelity says where accuracy says nothing, to go behind a verdict; "" where it says nothing."""
    kind = foretold(sweep, member)
    if kind == "loss":
        return f"; to be tested first: {_flips(member)}"
    return f"; {NEAR}" if kind == "near" else ""


def to_test_first(sweep: Sweep, members: Sequence[Member], shown: Callable[[str], str]) -> str:
    """Which of some members of whom accuracy says nothing yet to ask more questions first; "" if none."""
    found = [member for member in members if foretold(sweep, member) == "loss"]
    if not found:
        return ""
    most = max(found, key=lambda member: _lost(member).value)
    others = f", then {len(found) - 1} more" if len(found) > 1 else ""
    return f" Test {shown(most.title)} first{others}: {_flips(most)}, the margin is {points(sweep.margin)}."


def _flips(member: Member) -> str:
    return f"{percent(_lost(member))} points would be lost at the final answers alone"


def _lost(member: Member) -> Estimate:
    assert member.fidelity is not None, "what is foretold was measured"
    assert member.fidelity.overall.lost is not None, "what is foretold was measured"
    return member.fidelity.overall.lost


def open_answer(sweep: Sweep, open_: Sequence[Member]) -> str:
    """That these members are not told from the reference, and what would do it."""
    verdicts = [(member, found) for member in open_ if (found := overall(member)) is not None]
    asked = max(found.difference.n for _, found in verdicts)
    needs = [need for member, found in verdicts if (need := needed_of(sweep, member, found)) is not None]
    what = "these files apart" if len(verdicts) > 1 else "this file from the reference"
    start = f"No answer yet: {asked:,} questions cannot tell {what}"
    settled = [need for need in needs if need.kind == "limit"]
    if settled:
        largest = max(settled, key=lambda need: need.limit)
        some = "" if len(settled) == len(needs) else f" for {len(settled)} of {len(needs)}"
        time = about(seconds_for(sweep, largest.more))
        return f"{start}; {limit_word(largest.limit, sweep.source)} would{some}{time}."
    never = [need for need in needs if need.kind == "never"]
    if never:
        return f"{start}; {too_few(never[0], len(sweep.benchmarks) == 1)}."
    alone = [title for name, title in sweep.benchmarks.items() if any(_in_one(each, name) for each in open_)]
    if alone:
        return (
            f"{start}: all of {' and '.join(alone)} are of one page, dialogue or file, and one does not say "
            "what is chance; `sampling=item`, or a larger limit, asks several."
        )
    return f"{start}; how many would, cannot be told."


def _in_one(member: Member, benchmark: str) -> bool:
    found = member.compared(benchmark)
    return found is not None and found.difference.clusters == 1

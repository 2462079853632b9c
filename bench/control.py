"""What a control variate does for a paired difference: simulated, and what it could do on kept runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.statistics import ENOUGH_VARYING, Design, designs, differences, latent
from evalkit.compare.pairs import PairedBenchmark, pair
from evalkit.config.options import read_arguments
from evalkit.fidelity.figures import auc
from evalkit.run.find import find_run
from evalkit.run.info import Run
from evalkit.run.runner import read_run
from evalkit.schema import Key, UserError
from evalkit.stats.control import LEAST_PAGES, controlled, page_correlation
from evalkit.stats.intervals import Array, clusters_of, quantile, spread
from evalkit.stats.judged import layout
from evalkit.stats.paired import paired_limits
from evalkit.stats.sequential import log_capital
from evalkit.text import output_console, show_lines, show_table

HELP = """
usage: python -m bench control simulate [repeats=N]
       python -m bench control REFERENCE RUN ... [fidelity=PATH/fidelity.json]

simulate: a candidate that has answered some pages of a benchmark, and a reference that has answered all of
them: how often the 95 % interval of the difference holds the truth, plain and with the reference's other
answers as a control variate (evalkit/stats/control.py), and how wide one is beside the other. The number of
pages is planned; then where bets on the pages stop. Exit code 1 if with a planned number less than 93 % or
more than 97 % is covered (three simulation errors allowed), where enough changes are to be expected.

With runs: the share ρ² of the difference's variance that the reference's own score explains; with the
figures of `evalkit fidelity` on the same answers, what the chances that it foretells add to that, how well
they tell answers that change from others, and what it would bring to ask likelier ones first.

example:
  python -m bench control simulate repeats=1000
"""

ALPHA = 0.05
MARGIN = 0.02
ACCURACY = 0.6
PAGES = (25, 60, 200)
CORRELATIONS = (0.0, 0.3)
DISCORDANT = (0.1, 0.3)
DIFFERENCES = (0.0, -0.08)
SHARES = (0.1, 0.4)
STOPPED = (Design(400, "1", 0.0), Design(400, "1-4", 0.3))


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """Simulated ones, repeats × items: candidate - reference, the reference's score, and a foretold chance.

    The chance is that of a change, as good as its AUC of 0.75.
    """

    gains: Array
    scores: Array
    chances: Array

    def known(self, kind: str) -> Array:
        """The control variate: large where a gain is to be expected."""
        toward = 1 - 2 * self.scores
        return toward * self.chances if kind == "chance" else toward


KINDS = {"score": "the reference's score", "chance": "times a foretold chance"}


def benchmarks(
    rng: np.random.Generator, repeats: int, design: Design, discordant: float, difference: float
) -> Benchmarks:
    """A candidate loses only what the reference has right, and wins only what it has wrong."""
    gains = differences(latent(rng, repeats, design), discordant, difference)
    loss = (discordant - difference) / 2
    same = (ACCURACY - loss) / (1 - discordant)
    right = latent(rng, repeats, design) < same
    scores = np.where(gains < 0, 1.0, np.where(gains > 0, 0.0, right))
    uniform = rng.random(gains.shape)
    return Benchmarks(gains, scores, np.where(gains != 0, np.cbrt(uniform), uniform))


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of one design: the shares of the repeats that intervals cover, plain and by control variate.

    `width`: the mean widths beside the plain one's. `varying`: changed items to be expected among the
    answered ones, as independent ones.
    """

    design: Design
    discordant: float
    difference: float
    share: float
    plain: float
    covered: Mapping[str, float]
    width: Mapping[str, float]
    varying: float


def coverage(
    rng: np.random.Generator,
    repeats: int,
    design: Design,
    discordant: float,
    difference: float,
    share: float,
) -> Coverage:
    """Where the pages of `design` are answered, as planned, of 1/`share` as many."""
    whole = Design(round(design.pages / share), design.questions, design.correlation)
    made = benchmarks(rng, repeats, whole, discordant, difference)
    intervals = Intervals(whole, design.pages)
    limits = {kind: intervals.limits(made, kind) for kind in ("plain", *KINDS)}
    covered = {
        kind: float(((low <= difference) & (difference <= high)).mean())
        for kind, (low, high) in limits.items()
    }
    width = {kind: float((high - low).mean()) for kind, (low, high) in limits.items()}
    return Coverage(
        design,
        discordant,
        difference,
        share,
        covered.pop("plain"),
        covered,
        {kind: width[kind] / width["plain"] for kind in KINDS},
        design.effective * discordant,
    )


class Intervals:
    """95 % intervals from the first `answered` pages of a design."""

    def __init__(self, whole: Design, answered: int) -> None:
        clusters = whole.clusters
        pages = np.repeat(np.arange(whole.pages), np.diff(np.append(clusters.starts, clusters.n)))
        self._items = int((pages < answered).sum())
        self._ours = clusters_of(pages[: self._items])
        self._pages = pages

    def limits(self, made: Benchmarks, kind: str) -> tuple[Array, Array]:
        """One a repeat."""
        at, ours = self._items, self._ours
        if kind == "plain":
            return paired_limits(spread(made.gains[:, :at], ours), ours, quantile(ours.count))
        known = made.known(kind)
        where = layout(self._pages[at:].tolist(), self._pages[:at].tolist())
        found = controlled(made.gains[:, :at], known[:, :at], known[:, at:], where)
        return found.low, found.high


def stopped_coverage(
    rng: np.random.Generator, repeats: int, design: Design, discordant: float, difference: float
) -> tuple[int, dict[str, float]]:
    """Where bets on the pages stop, or all are answered: how often before, and what is covered there.

    Without pages enough for a control variate the plain interval is what is reported.
    """
    made = benchmarks(rng, repeats, design, discordant, difference)
    starts = design.clusters.starts
    gains, right, wrong = (
        np.add.reduceat(each, starts, axis=1) for each in (made.gains, made.scores, 1 - made.scores)
    )
    both = [log_capital(gains, right, wrong, 0.0, sign) for sign in (1, -1)]
    capital = np.maximum(np.logaddexp(*both) - np.log(2), log_capital(gains, right, wrong, -MARGIN, 1))
    reached = capital >= -np.log(ALPHA)
    at = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, design.pages)
    hits = dict.fromkeys(("plain", *KINDS), 0)
    for pages in np.unique(at).tolist():
        some = Benchmarks(made.gains[at == pages], made.scores[at == pages], made.chances[at == pages])
        enough = LEAST_PAGES <= pages <= design.pages - LEAST_PAGES
        intervals = Intervals(design, pages)
        for kind in hits:
            low, high = intervals.limits(some, kind if enough else "plain")
            hits[kind] += int(((low <= difference) & (difference <= high)).sum())
    stopped = int((at < design.pages).sum())
    return stopped, {kind: count / repeats for kind, count in hits.items()}


def main(arguments: Sequence[str]) -> int:
    given = read_arguments("control", arguments, {"repeats": "1000", "fidelity": ""})
    if given.places == ["simulate"]:
        return _simulate(given.whole("repeats"))
    if len(given.places) < 2:
        raise UserError("control: simulate, or a reference's run and at least one other")
    _kept([read_run(find_run(place)) for place in given.places], given.path("fidelity"))
    return 0


def _simulate(repeats: int) -> int:
    rng = np.random.default_rng(0)
    found = [
        coverage(rng, repeats, design, discordant, difference, share)
        for design in designs(PAGES, CORRELATIONS)
        for discordant in DISCORDANT
        for difference in DIFFERENCES
        for share in SHARES
    ]
    enough = [each for each in found if each.varying >= ENOUGH_VARYING]
    rows = [
        ["plain", *_range([each.plain for each in enough]), "100 %"],
        *(
            [what, *_range([each.covered[kind] for each in enough]), _widths(enough, kind)]
            for kind, what in KINDS.items()
        ),
    ]
    console = output_console()
    header = ["interval", "designs", "least", "mean", "most", "width, 10 % and 40 % answered"]
    show_table(console, "coverage with a planned number of pages", header, rows)
    rows = []
    for design in STOPPED:
        for discordant in DISCORDANT:
            for difference in DIFFERENCES:
                stopped, shares = stopped_coverage(rng, repeats, design, discordant, difference)
                name = f"{design.pages} pages of {design.questions}"
                cells = [f"{100 * shares[kind]:.1f} %" for kind in ("plain", *KINDS)]
                rows.append(
                    [name, f"{discordant:.1f}", f"{difference:+.2f}", f"{stopped} of {repeats}", *cells]
                )
    header = ["benchmark", "changes", "difference", "stopped early", "plain", *KINDS.values()]
    show_table(console, "coverage of the same intervals where bets stopped", header, rows)
    slack = 3 * (ALPHA * (1 - ALPHA) / repeats) ** 0.5
    covered = [share for each in enough for share in each.covered.values()]
    return int(min(covered) < 0.93 - slack or max(covered) > 0.97 + slack)


def _range(shares: Sequence[float]) -> list[str]:
    return [
        str(len(shares)),
        *(f"{100 * each:.1f} %" for each in (min(shares), np.mean(shares), max(shares))),
    ]


def _widths(found: Sequence[Coverage], kind: str) -> str:
    means = [np.mean([each.width[kind] for each in found if each.share == share]) for share in SHARES]
    return ", ".join(f"{100 * mean:.0f} %" for mean in means)


def _kept(runs: Sequence[Run], fidelity: Path | None) -> None:
    reference, *others = runs
    console = output_console()
    rows, foretold = [], []
    known = _figures(fidelity) if fidelity else {}
    for other in others:
        figures = known.get(other.info.engine.weights_sha256 or "")
        answers = list[_Answer]()
        for paired in pair(other, reference, same_examples=False):
            some = _answers(paired, figures or {})
            rows.append([other.info.model.title, paired.title, *_explained(some)])
            answers += some
        if figures:
            foretold.append([other.info.model.title, *_foretold([each for each in answers if each.figures])])
    header = ["run", "benchmark", "answers", "pages", "changed", "the reference's score explains", "by page"]
    show_table(console, "of the variance of the difference", header, rows)
    if foretold:
        header = ["run", "answers", "changed", "AUC, final answer", "AUC, whole answer"]
        header += ["score explains", "with the chance", "variance, likelier first", "with its tokens"]
        show_table(console, "what fidelity foretold, all benchmarks", header, foretold)
        show_lines(console, ["whole answer: the chance that greedy decoding leaves it anywhere"])


@dataclass(frozen=True, slots=True)
class _Answer:
    gain: float
    score: float
    page: str
    figures: Mapping[str, float] | None


def _figures(path: Path) -> dict[str, dict[tuple[str, Key], Mapping[str, float]]]:
    """By file's sha256, what fidelity.json has of each answer: by benchmark and name."""
    try:
        files = json.loads(path.read_bytes())["files"]
        return {
            file["sha256"]: {
                (name, (answer["id"], answer["turn"])): answer
                for name, part in file["benchmarks"].items()
                for answer in part["answers"]
            }
            for file in files
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no fidelity.json: {error}") from error


def _answers(
    paired: PairedBenchmark, figures: Mapping[tuple[str, Key], Mapping[str, float]]
) -> list[_Answer]:
    found = []
    for ours, theirs in paired.pairs:
        mine, score = ours.value(paired.rule), theirs.value(paired.rule)
        if mine is not None and score is not None:
            page = f"{paired.benchmark} {theirs.group}"
            found.append(_Answer(mine - score, score, page, figures.get((paired.benchmark, theirs.key))))
    return found


def _explained(answers: Sequence[_Answer]) -> list[str]:
    gains = [each.gain for each in answers]
    known = [1 - 2 * each.score for each in answers]
    pages = [each.page for each in answers]
    alone = [str(number) for number in range(len(answers))]
    changed = sum(gain != 0 for gain in gains) / len(gains)
    return [
        str(len(gains)),
        str(len(set(pages))),
        f"{100 * changed:.0f} %",
        _square(page_correlation(gains, known, alone)),
        _square(page_correlation(gains, known, pages)),
    ]


def _foretold(answers: Sequence[_Answer]) -> list[str]:
    gains = np.array([each.gain for each in answers])
    toward = np.array([1 - 2 * each.score for each in answers])
    figures = [each.figures for each in answers if each.figures]
    leaves = np.array([each["any_flip"] for each in figures])
    final = np.array([np.nan if (chance := each["final_flip"]) is None else chance for each in figures])
    tokens = np.array([each["tokens"] for each in figures], dtype=np.float64)
    changed, has = gains != 0, ~np.isnan(final)
    alone = [str(number) for number in range(len(answers))]
    # Pages drawn with a chance of at least half of the even one, so that no answer counts more than twice.
    drawn = 0.5 + 0.5 * leaves / leaves.mean()
    variance = float((gains**2 / drawn).mean() / (gains**2).mean()) if changed.any() else float("nan")
    return [
        str(len(answers)),
        f"{100 * changed.mean():.0f} %",
        *(
            "-" if area is None else f"{area:.2f}"
            for area in (auc(final[has], changed[has]), auc(leaves, changed))
        ),
        _square(page_correlation(gains.tolist(), toward.tolist(), alone)),
        _square(page_correlation(gains.tolist(), (toward * leaves).tolist(), alone)),
        f"{variance:.2f}",
        f"{variance * float((drawn * tokens).mean() / tokens.mean()):.2f}",
    ]


def _square(correlation: float | None) -> str:
    return "-" if correlation is None else f"{100 * correlation**2:.0f} %"

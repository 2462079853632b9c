"""The report's section on the judge: what it is, its mistakes on canaries, and what it decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evalkit.metrics import accuracy
from evalkit.report.sections import Section, accuracy_json
from evalkit.run.info import Run
from evalkit.run.judgements import JudgedBenchmark, JudgeFacts
from evalkit.schema import JUDGED, Estimate
from evalkit.text import code, percent, table

_NOTE = (
    "Canaries are answers made from this run's own examples whose verdict is known. *Wrong accepted* and "
    "*right refused* are the judge's mistakes on them, with Wilson's 95 % interval. Where the judge is not "
    "fit, its scores are withheld."
)


def judge_section(run: Run) -> Section | None:
    """The part of the report on the judge; None if the run was not judged."""
    facts = run.info.judge
    if facts is None:
        return None
    titles = {
        name: run.info.benchmarks[name].title for name in run.info.benchmarks if name in facts.benchmarks
    }
    scores = {name: accuracy(run.of(name), JUDGED) for name in titles}
    named = {titles[name]: facts.benchmarks[name] for name in titles}
    tested = {title: each for title, each in named.items() if each.canaries}
    parts = [_who(facts), _paths({titles[name]: scores[name] for name in titles}, named)]
    parts += [*_reasoning(named), *_audit(named)]
    if tested:
        parts += [_kinds(tested), _NOTE]
    blocks = run.info.raw["judge"]["benchmarks"]
    return Section(
        name="judge",
        title="Judge",
        body="\n\n".join(parts),
        data={
            name: {**blocks[name], "score": accuracy_json(score) if score else None}
            for name, score in scores.items()
        },
        lines=list(_lines({titles[name]: scores[name] for name in titles}, named)),
    )


def _who(facts: JudgeFacts) -> str:
    spent, settings, identity = facts.spent, facts.settings, facts.judge.identity
    cost = f", {spent.cost:.4f} {code(spent.currency)}" if spent.currency else ""
    threshold = (
        "" if settings.threshold is None else f" A grade counts as right from {settings.threshold:g} on."
    )
    return (
        f"Judge: {code(facts.judge.name)} on {code(identity.engine.engine)}; "
        f"asked: {settings.when or '?'}; replies: {identity.form}. {spent.verdicts} questions, "
        f"{spent.prompt_tokens:,} prompt tokens, {spent.completion_tokens:,} of replies{cost}.{threshold}"
    )


def _paths(scores: Mapping[str, Estimate | None], named: Mapping[str, JudgedBenchmark]) -> str:
    header = [
        "",
        "by rule",
        "left to the judge",
        "no verdict",
        "wrong accepted",
        "right refused",
        "score, judged, %",
        "",
    ]
    rows = []
    for title, each in named.items():
        errors = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in each.errors.items())
        canaries = each.canaries
        rates = [canaries.false_positive.text, canaries.false_negative.text] if canaries else ["-", "-"]
        row = [title, str(each.paths.rule), str(each.paths.judge), errors or "0"]
        rows.append([*row, *rates, percent(scores[title]), each.standing])
    return table(header, rows)


def _reasoning(named: Mapping[str, JudgedBenchmark]) -> list[str]:
    """The reasoning checks, a table for all benchmarks that have one."""
    found = {title: each.reasoning for title, each in named.items() if each.reasoning}
    if not found:
        return []
    criteria = list(dict.fromkeys(name for each in found.values() for name in each.criteria))
    header = ["reasoning check", "passed", *(name.replace("_", " ") for name in criteria), "no verdict"]
    rows = []
    for title, each in found.items():
        held = [str(each.criteria.get(criterion, "-")) for criterion in criteria]
        rows.append([title, each.rate.text, *held, str(sum(each.errors.values()))])
    return [table(header, rows)]


_AUDIT_NOTE = (
    "Answers that the default rule accepts, drawn at random and put before the judge: *refused* ones are its "
    "false accepts as far as the judge is right (it refuses *right refused* of the right canaries, too). No "
    "score depends on them."
)


def _audit(named: Mapping[str, JudgedBenchmark]) -> list[str]:
    """The audits of what the default rule accepts, a table for all benchmarks that have one."""
    found = {title: each for title, each in named.items() if each.audit}
    if not found:
        return []
    rows = []
    for title, each in found.items():
        audit, canaries = each.audit, each.canaries
        assert audit is not None, "only those with one are found"
        refuses = canaries.false_negative.text if canaries else "-"
        rows.append([title, str(audit.accepted), audit.rate.text, refuses, str(sum(audit.errors.values()))])
    header = ["accepted by rule", "answers", "refused by the judge", "right refused", "no verdict"]
    return [table(header, rows), _AUDIT_NOTE]


def _kinds(tested: Mapping[str, JudgedBenchmark]) -> str:
    found = [each.canaries.kinds for each in tested.values() if each.canaries]
    kinds = list(dict.fromkeys(kind for of_benchmark in found for kind in of_benchmark))
    rows = [
        [kind.replace("_", " "), *(each[kind].text if kind in each else "-" for each in found)]
        for kind in kinds
    ]
    return table(["mistakes by kind of canary", *tested], rows)


def _lines(scores: Mapping[str, Estimate | None], named: Mapping[str, JudgedBenchmark]) -> Iterator[str]:
    """For the terminal: what is judged. Its canaries stand before the table."""
    for title, score in scores.items():
        if score is not None:
            paths = named[title].paths
            decided = f"{paths.judge} answers by the judge, {paths.rule} by rule"
            yield f"{title}: {percent(score)} as judged, {decided}"
    for title, each in named.items():
        if each.audit:
            yield f"{title}: of answers that the rule accepts, the judge refuses {each.audit.rate.text}"

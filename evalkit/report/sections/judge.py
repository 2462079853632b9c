"""The judge: what it is, what it makes of canaries, who decided what, and what could not be judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evalkit.judge.ledger import Ledger
from evalkit.report.items import mean_of
from evalkit.report.markdown import code, percent, table
from evalkit.report.material import Material, Section

_NOTE = (
    "Canaries are answers made from this run's own examples whose verdict is known. *Wrong accepted* and "
    "*right refused* are the judge's mistakes on them, with Wilson's 95 % interval. Where the judge is not "
    "fit, its scores are withheld."
)


def section(material: Material) -> Section | None:
    """The part of the report on the judge; None if the run was not judged."""
    if material.ledger is None:
        return None
    ledger = material.ledger
    names = [name for name in material.titles if ledger.of(name)]
    tested = [name for name in names if ledger.of(name)["canaries"]]
    parts = [_who(ledger), _paths(material, ledger, names)]
    parts += _reasoning(material, ledger, names)
    if tested:
        parts += [_kinds(material, ledger, tested), _NOTE]
    data = {name: _data(material, ledger, name) for name in names}
    return Section(
        name="judge", title="Judge", body="\n\n".join(parts), data=data, lines=list(_lines(material))
    )


def _who(ledger: Ledger) -> str:
    summary = ledger.summary
    spent, settings = summary["spent"], summary["settings"]
    engine = summary["judge"]["identity"]["engine"]
    cost = f", {spent['cost']:.4f} {code(spent['currency'])}" if spent["currency"] else ""
    form = summary["judge"]["identity"]["form"]
    return (
        f"Judge: {code(str(summary['judge']['name']))} on {code(str(engine['engine']))}; "
        f"asked: {settings['when']}; replies: {form}. {spent['verdicts']} questions, "
        f"{spent['prompt_tokens']:,} prompt tokens, {spent['completion_tokens']:,} of replies{cost}. "
        f"A grade counts as right from {settings['threshold']:g} on."
    )


def _paths(material: Material, ledger: Ledger, names: list[str]) -> str:
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
    for name in names:
        of, fit = ledger.of(name), ledger.of(name)["canaries"]
        errors = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in of["errors"].items())
        rates = [rate(fit[which]) if fit else "-" for which in ("false_positive", "false_negative")]
        score = percent(mean_of(material.judged[name])) if name in material.judged else "-"
        row = [material.titles[name], str(of["paths"]["rule"]), str(of["paths"]["judge"]), errors or "0"]
        rows.append([*row, *rates, score, standing(of)])
    return table(header, rows)


def _reasoning(material: Material, ledger: Ledger, names: list[str]) -> list[str]:
    """The reasoning checks, a table for all benchmarks that have one."""
    found = {name: of for name in names if (of := ledger.of(name).get("reasoning"))}
    if not found:
        return []
    criteria = list(dict.fromkeys(name for of in found.values() for name in of["criteria"]))
    header = ["reasoning check", "passed", *(name.replace("_", " ") for name in criteria), "no verdict"]
    rows = []
    for name, of in found.items():
        passed = rate({**of, "rate": of["passed"] / of["n"]}) if of["n"] else "-"
        held = [str(of["criteria"].get(criterion, "-")) for criterion in criteria]
        rows.append([material.titles[name], passed, *held, str(sum(of["errors"].values()))])
    return [table(header, rows)]


def _kinds(material: Material, ledger: Ledger, tested: list[str]) -> str:
    found = [ledger.of(name)["canaries"]["kinds"] for name in tested]
    kinds = list(dict.fromkeys(kind for of_benchmark in found for kind in of_benchmark))
    header = ["mistakes by kind of canary", *(material.titles[name] for name in tested)]
    rows = [
        [kind.replace("_", " "), *(rate(each[kind]) if kind in each else "-" for each in found)]
        for kind in kinds
    ]
    return table(header, rows)


def rate(found: Mapping[str, Any]) -> str:
    """`12 % [5, 25] of 40`, from what judge.json holds of a rate."""
    if not found["n"]:
        return "-"
    low, high = found["interval"]
    return f"{100 * found['rate']:.0f} % [{100 * low:.0f}, {100 * high:.0f}] of {found['n']}"


def standing(of: Mapping[str, Any]) -> str:
    """Whether a benchmark's judged score is shown, in words, from its part of judge.json."""
    if of["shown"] == "withheld":
        return f"judge not fit: {of['canaries']['reason']}"
    if of["shown"] == "forced":
        return f"shown by force, judge not fit: {of['canaries']['reason']}"
    return "fit" if of["shown"] == "fit" else "no answer needed it"


def _data(material: Material, ledger: Ledger, name: str) -> dict[str, Any]:
    score = mean_of(material.judged[name]).as_json() if name in material.judged else None
    return {**ledger.of(name), "score": score}


def _lines(material: Material) -> Iterator[str]:
    """For the terminal: what is judged. Its canaries stand before the table."""
    assert material.ledger is not None
    for name, items in material.judged.items():
        paths = material.ledger.of(name)["paths"]
        yield (
            f"{material.titles[name]}: {percent(mean_of(items))} as judged, {paths['judge']} answers by the "
            f"judge, {paths['rule']} by rule"
        )

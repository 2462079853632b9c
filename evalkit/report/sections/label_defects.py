"""Accuracy on all examples and on those whose gold label is not known to be wrong or ambiguous."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalkit.report.defects import Defect, defective
from evalkit.report.items import Item, Mean, mean_of
from evalkit.report.markdown import code, percent, table
from evalkit.report.material import Material, Section

LISTED = 50

_NOTE = (
    "Listed are labels that somebody read and found wanting, whatever the model answered. The other labels "
    "are mostly unread, not known to be right: the clean part is cleaner, not clean."
)


def section(material: Material) -> Section | None:
    """The benchmarks that have a listed label among their scored examples; None if there are none."""
    rows, details, data = [], [], {}
    for name, items in material.scored().items():
        listed = defective(material.defects, name)
        hit = [(item, listed[item.key]) for item in items if item.key in listed and item.value is not None]
        if not hit:
            continue
        clean = mean_of(item for item in items if item.key not in listed)
        every, defect = mean_of(items), mean_of(item for item, _ in hit)
        kinds = [entry.kind for _, entry in hit]
        wrong, ambiguous = kinds.count("wrong"), kinds.count("ambiguous")
        data[name] = _data(every, clean, defect, wrong, ambiguous)
        counts = f"{wrong} wrong, {ambiguous} ambiguous"
        rows.append([material.titles[name], *(_cell(mean) for mean in (every, clean, defect)), counts])
        details += [_detail(material.titles[name], item, entry) for item, entry in hit]
    if not rows:
        return None
    header = ["Benchmark", "all, %", "clean part, %", "listed labels only, %", "listed"]
    return Section(
        name="label_defects",
        title="Label defects",
        body="\n\n".join([table(header, rows), _NOTE, _list(details)]),
        data=data,
    )


def _data(every: Mean, clean: Mean, defect: Mean, wrong: int, ambiguous: int) -> dict[str, Any]:
    return {
        "all": every.as_json(),
        "clean": clean.as_json(),
        "listed": defect.as_json(),
        "wrong": wrong,
        "ambiguous": ambiguous,
    }


def _cell(mean: Mean) -> str:
    return f"{percent(mean)} (n={mean.n})" if mean.n else "-"


def _detail(title: str, item: Item, entry: Defect) -> list[str]:
    turn = "-" if entry.turn is None else str(entry.turn)
    verdict = "right" if item.value == 1 else "wrong" if item.value == 0 else f"{item.value:.2f}"
    reason, source = code(entry.reason, 120), code(entry.source)
    return [title, code(entry.id), turn, entry.kind, reason, source, verdict]


def _list(details: Sequence[Sequence[str]]) -> str:
    header = ["Benchmark", "id", "turn", "label is", "reason", "source", "scored"]
    shown = table(header, details[:LISTED], text_columns=len(header))
    rest = len(details) - LISTED
    return shown + (f"\n\nand {rest} more" if rest > 0 else "")

"""The published table, read from results/published/."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.paths import PUBLISHED


@dataclass(frozen=True, slots=True)
class Published:
    """Rows as printed by their authors; scores and averages in per cent.

    ``benchmarks`` are our names in the order of the printed columns, ``titles`` what the columns are called.
    """

    benchmarks: list[str]
    titles: dict[str, str]
    rows: list[dict[str, Any]]
    source_note: str

    def mean(self, row: Mapping[str, Any]) -> float:
        """What the row's average should be."""
        return statistics.fmean(float(row["scores"][name]) for name in self.benchmarks)


def read_published(name: str = "fin-r1-paper") -> Published:
    """One file of results/published/."""
    import yaml

    content = yaml.safe_load((PUBLISHED / f"{name}.yaml").read_text(encoding="utf-8"))
    protocol = content["protocol"]
    return Published(
        benchmarks=list(content["benchmarks"]),
        titles={key: value["title"] for key, value in content["benchmarks"].items()},
        rows=content["rows"],
        source_note=(
            f"Published rows: {content['source']['paper']} and its model card, as printed; temperature "
            f"{protocol['temperature']}, judge {protocol['judge']}: another protocol and another rule."
        ),
    )

"""What is known of a benchmark's items in the training data of a published table's models."""

from __future__ import annotations

from evalkit.audit.table import PublishedTable, TrainedOn, Training, read_table


def known_overlap(table: PublishedTable | None = None) -> dict[str, str]:
    """By benchmark, in the table's order, one sentence to show beside its scores; empty if nothing is known.

    Args:
        table: of Fin-R1's paper if not given.
    """
    table = read_table() if table is None else table
    training = table.training
    if training is None:
        return {}
    return {
        name: _text(training, training.benchmarks[name])
        for name in table.benchmarks
        if name in training.benchmarks
    }


def _text(training: Training, known: TrainedOn) -> str:
    share = "What share" if known.share is None else f"As far as known, {100 * known.share:.0f} %"
    unknown = " is not known" if known.share is None else ""
    raw = "the set" if known.raw is None else f"{known.raw} questions"
    return (
        f"{share} of the evaluated items is in what {training.name} was made from{unknown}: {known.why}. "
        f"{known.records:,} records remained of {raw} after filtering; which ones is not known."
    )

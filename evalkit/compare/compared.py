"""Two runs, compared: the pairs, what was measured on them, and what else differs between the runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.compare.comparison import Comparison
from evalkit.compare.measure import comparisons, judged
from evalkit.compare.pairing import PairedBenchmark, pair
from evalkit.compare.side import Side

_WHAT_ELSE = (
    "engine.engine",
    "engine.build",
    "engine.chat_template_sha256",
    "engine.flash_attention",
    "engine.slots",
    "engine.gpu_layers",
    "sampling.max_tokens",
    "protocol.samples",
    "evalkit.version",
    "hardware.cpu",
    "hardware.cores",
)
_WEIGHTS = "engine.weights_sha256"


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison of `candidate` with `reference` under `rule`; ``margin`` is a fraction of 1.

    ``differences``: see `other_differences`. ``same_weights``: both ran one file, so what differs is noise.
    """

    reference: Side
    candidate: Side
    rule: str
    margin: float
    pairs: list[PairedBenchmark]
    comparisons: list[Comparison]
    differences: list[tuple[str, object, object]]
    same_weights: bool

    @property
    def failed(self) -> int:
        """Examples without an answer on a side."""
        return sum(benchmark.failed for benchmark in self.pairs)


def compare(reference: Side, candidate: Side, rule: str, margin: float) -> Compared:
    """Compare two sides that were scored by `rule`, on the examples that both have.

    Raises:
        UserError: the two cannot be compared (see `pairing.pair`).
    """
    pairs = pair(candidate, reference, same_examples=False)
    [found] = judged([comparisons(pairs, margin)], margin)
    weights = _value(reference.run, _WEIGHTS)
    return Compared(
        reference=reference,
        candidate=candidate,
        rule=rule,
        margin=margin,
        pairs=pairs,
        comparisons=found,
        differences=other_differences(candidate, reference),
        same_weights=weights is not None and weights == _value(candidate.run, _WEIGHTS),
    )


def other_differences(candidate: Side, reference: Side) -> list[tuple[str, object, object]]:
    """Settings that differ and that the reader must know of, though they are no reason to refuse.

    Two files of one model may carry different chat templates, two engines may build different prompts from
    them, and other slots give other batches: all that belongs to what was run, and can explain a difference.

    Returns:
        The setting's name in run.json, the reference's value, the candidate's.
    """
    values = [(name, _value(reference.run, name), _value(candidate.run, name)) for name in _WHAT_ELSE]
    return [each for each in values if each[1] != each[2]]


def _value(run: Mapping[str, Any], name: str) -> object:
    group, _, key = name.partition(".")
    values = run.get(group)
    return values.get(key) if isinstance(values, Mapping) else None

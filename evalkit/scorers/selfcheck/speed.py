"""What scoring costs: outputs per second, beside math-verify on the same outputs."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from evalkit.example import ChoiceGold, Example, Gold, LabelGold, Message, NumberGold, TextGold, YesNoGold
from evalkit.paths import CONFIGS
from evalkit.scorers import get_rule, rule_names
from evalkit.scorers.selfcheck.labels import labelled
from evalkit.scorers.verdict import Output

MODELS, OUTPUTS_EACH = 11, 1_000
COMPARED_SECONDS = 5.0  # of CPU, for each of the rates

Item = tuple[Output, Gold]


def real_outputs(directory: Path) -> list[Item]:
    """The labelled outputs of a data directory with their golds. Raises UserError where there are none."""
    return [(item.output, item.gold) for item in labelled(directory)]


def report(real: Sequence[Item] | None = None) -> Iterator[str]:
    """The measurements, line by line, as each is done."""
    samples = sample_outputs()
    numeric = list(real or (item for item in samples if isinstance(item[1], NumberGold)))
    size = sum(len(output.text) for output, _ in numeric) / len(numeric)
    kind = "real" if real else "made from the bundled samples"
    yield f"{len(numeric)} outputs with a number to find ({kind}, {size:.0f} characters on average)"
    ours = _rate(lambda item: get_rule("financial")(*item), numeric)
    yield f"financial: {ours:,.0f} outputs per second and core"
    verify = _math_verify()
    if verify is None:
        yield "math-verify: not installed; pip install 'evalkit[bench]' to compare"
    else:
        theirs = _rate(verify, numeric)
        yield f"math-verify: {theirs:,.0f} outputs per second and core; ratio {ours / theirs:.1f}"
    for name, rules in (("financial", ["financial"]), ("all rules", rule_names())):
        seconds, count = _rescored(samples, rules)
        amount = f"{MODELS} models x 5 benchmarks x {OUTPUTS_EACH:,} = {count:,} outputs"
        yield f"re-scoring {amount}, {name}: {seconds:.1f} s on one core"


def sample_outputs() -> list[Item]:
    """An output for every bundled example: its prompt as a long trace, then its gold answer in a box."""
    items = []
    for path in sorted((CONFIGS / "benchmark").glob("*.yaml")):
        for example in _sample(path):
            trace = "".join(m.content for m in example.messages if isinstance(m, Message))
            said = f"<think>\n{trace}\nSo the answer is close.\n</think>\n\nStep by step: {trace[-600:]}\n"
            text = f"{said}<answer>\\boxed{{{_shown(example.gold)}}}</answer>"
            items.append((Output(text), example.gold))
    return items


def _sample(path: Path) -> list[Example]:
    from omegaconf import OmegaConf

    from evalkit.benchmarks import load

    config: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    return load(config, {"source": "sample"}, limit=None, seed=0, sampling="item").examples


def _shown(gold: Gold) -> str:
    match gold:
        case NumberGold():
            return f"{gold.value:,.4f}"
        case YesNoGold():
            return "yes" if gold.yes else "no"
        case ChoiceGold():
            return gold.letter
        case LabelGold():
            return gold.label
        case TextGold():
            return gold.reference


def _rate(score: Callable[[Item], object], items: Sequence[Item]) -> float:
    """Outputs per second of CPU time, over whole passes; the first pass warms up."""
    for item in items[:20]:
        score(item)
    done, started = 0, time.process_time()
    while (spent := time.process_time() - started) < COMPARED_SECONDS:
        for item in items:
            score(item)
        done += len(items)
    return done / spent


def _rescored(items: Sequence[Item], rules: Sequence[str]) -> tuple[float, int]:
    """Wall seconds, on one core, to score that many outputs under these rules."""
    count = MODELS * 5 * OUTPUTS_EACH
    functions = [get_rule(name) for name in rules]
    started = time.perf_counter()
    for output, gold in islice(cycle(items), count):
        for function in functions:
            function(output, gold)
    return time.perf_counter() - started, count


def _math_verify() -> Callable[[Item], object] | None:
    """math-verify's extraction and comparison; None if it is not installed."""
    if importlib.util.find_spec("math_verify") is None:
        return None
    module = importlib.import_module("math_verify")

    def verify(item: Item) -> object:
        output, gold = item
        return module.verify(module.parse(_shown(gold)), module.parse(output.text))

    return verify

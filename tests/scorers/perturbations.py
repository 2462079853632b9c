"""Gold answers dressed as outputs, and answers that are wrong by a known step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from evalkit.benchmarks import load
from evalkit.schema import ChoiceGold, Gold, LabelGold, NumberGold, Output, YesNoGold
from evalkit.scoring import get_rule
from evalkit.scoring.agreement import Scale, asks_size, gold_scale
from tests.settings import SAMPLE, benchmark_settings, local

STEPS = {"x10": 10.0, "/10": 0.1, "x1000": 1e3, "/1000": 1e-3, "+5%": 1.05, "-5%": 0.95, "sign": -1.0}
HUNDRED = {"x100": 100.0, "/100": 0.01}


@dataclass(frozen=True, slots=True)
class Wrong:
    """An output that is wrong by ``step``, and the gold that it misses."""

    step: str
    text: str
    gold: Gold


def golds(name: str, directory: str | None) -> list[Gold]:
    """The gold answers of a benchmark: of its bundled sample, or of local data in `directory`."""
    data = local(directory) if directory else SAMPLE
    loaded = load(benchmark_settings(name), data, limit=None, seed=0, sampling="item")
    return [example.gold for example in loaded.examples]


def digits(value: float) -> str:
    """At least four significant digits and no exponent: an answer that is off by 5 % and shows it."""
    return format(Decimal(f"{value:.4g}" if abs(value) < 1000 else repr(value)), "f")


def right(gold: Gold) -> list[str]:
    """The gold answer as a decimal, with separators, in a box, in a sentence, after a trace, as a percent."""
    if isinstance(gold, YesNoGold):
        return [rf"<think>hm</think> \boxed{{\text{{{'Yes' if gold.yes else 'No'}}}}}"]
    assert isinstance(gold, NumberGold)
    plain = f"{gold.value:,.5f}".rstrip("0").rstrip(".")
    texts = [
        rf"<think>maybe \boxed{{1234567}}</think><answer>\boxed{{{plain}}}</answer>",
        f"</think>The answer is **{plain}**.",
        rf"Final answer: \(\boxed{{{plain.replace(',', '{,}')}}}\)",
    ]
    if gold_scale(gold) is Scale.DECIMAL:
        percent = f"{gold.value * 100:,.3f}".rstrip("0").rstrip(".")
        texts += [
            rf"<think>x</think>\boxed{{{percent}\%}}",
            rf"\boxed{{{percent}}} %",
            f"<answer>{percent}%</answer>",
        ]
    if gold_scale(gold) is Scale.AMOUNT:
        texts += [rf"\boxed{{\${plain} \text{{ million}}}}", f"答案是{plain}"]
    return texts


def wrong(gold: Gold, text: str = "") -> Iterator[Wrong]:
    """Answers that no rule should accept; ``text`` is the classified text of a label."""
    if isinstance(gold, NumberGold):
        steps = {
            step: factor for step, factor in STEPS.items() if step != "sign" or not asks_size(gold.question)
        }
        yield from _numbers(gold, steps)
    elif isinstance(gold, YesNoGold):
        yield from (Wrong("other", said, gold) for said in _said("no" if gold.yes else "yes"))
        yield from (Wrong("other", said, gold) for said in _said("否" if gold.yes else "是"))
    elif isinstance(gold, ChoiceGold):
        for letter, option in gold.options.items():
            if letter != gold.letter and option != gold.options[gold.letter]:
                yield from (
                    Wrong("other", said, gold)
                    for said in (*_said(letter), f"故选{letter}。", f"{letter}. {option}")
                )
    elif isinstance(gold, LabelGold):
        for label in gold.labels:
            if label != gold.label:
                yield from (Wrong("other", said, gold) for said in _said(label, text))


def hundredfold(gold: NumberGold) -> Iterator[Wrong]:
    """The same digits a factor 100 away."""
    return _numbers(gold, HUNDRED)


def _numbers(gold: NumberGold, steps: dict[str, float]) -> Iterator[Wrong]:
    if gold.value == 0:
        return
    for step, factor in steps.items():
        value = gold.value * factor
        yield Wrong(step, rf"<think>\boxed{{{digits(gold.value)}}}?</think>\boxed{{{digits(value)}}}", gold)
        if step not in HUNDRED:
            yield Wrong(step, f"The final answer is {digits(value * 100)}%.", gold)


def _said(answer: str, text: str = "") -> tuple[str, ...]:
    return (
        rf"<think>{text}</think>\boxed{{{answer}}}",
        f"{text}\n\n{answer}",
        f"Text: {text}\nThe answer is {answer}.",
        f"<answer>{answer}</answer>\n{text}",
    )


def accepted(item: Wrong) -> bool:
    verdict = get_rule("financial")(Output(item.text), item.gold)
    assert verdict
    return bool(verdict.correct)

"""Real gold answers in many dresses: right ones must stay right, wrong ones must stay wrong.

Each transformation makes one output of one example: its gold answer as a model may write it, or an answer
that is wrong by a known step. Over all examples of a data directory it says how many verdicts are as they
should be. Two transformations of one example differ in nothing but dress, language, direction or unit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.schema import ChoiceGold, Example, LabelGold, Message, NumberGold, Output, YesNoGold
from evalkit.scoring import get_rule
from evalkit.scoring.agreement import Scale, asked_unit, asks_size, gold_scale

BENCHMARKS = ("finqa", "convfinqa", "ant_finance", "tfns")

Make = Callable[[Example], str | None]
"""An output of an example; None where the transformation does not apply to it."""


@dataclass(frozen=True, slots=True)
class Transformation:
    """``right``: whether its outputs are right."""

    area: str
    name: str
    right: bool
    make: Make


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one transformation. ``missed`` shows the first outputs that were judged otherwise."""

    transformation: Transformation
    cases: int
    as_expected: int
    missed: tuple[str, ...]

    @property
    def share(self) -> float:
        return self.as_expected / self.cases if self.cases else 1.0


def examples(directory: Path | None) -> list[Example]:
    """The examples of the benchmarks' local data, or of the bundled samples.

    Raises:
        UserError: the data is missing or malformed.
    """
    from evalkit.config.settings import run_settings
    from evalkit.run.runner import load_data

    data = ["data=local", f"data.dir='{directory}'"] if directory else ["data=sample"]
    return [
        example
        for name in BENCHMARKS
        for example in load_data(
            run_settings(["+model=replay", "model.path=none", f"benchmark={name}", *data])
        )[name].examples
    ]


def rows(items: Sequence[Example]) -> Iterator[Row]:
    """Every transformation over all examples to which it applies."""
    rule = get_rule("financial")
    prompts = [
        "\n".join(message.content for message in item.messages if isinstance(message, Message))
        for item in items
    ]
    for transformation in TRANSFORMATIONS:
        cases = right = 0
        missed: list[str] = []
        for item, prompt in zip(items, prompts, strict=True):
            text = transformation.make(item)
            if text is None:
                continue
            verdict = rule(Output(text, prompt=prompt), item.gold)
            cases += 1
            if verdict is not None and bool(verdict.correct) is transformation.right:
                right += 1
            elif len(missed) < 3:
                missed.append(f"{item.id}: {text[:100]!r}")
        yield Row(transformation, cases, right, tuple(missed))


# Numbers: the gold value with up to five decimals, as a percentage where gold is a ratio.


def _number(example: Example) -> NumberGold | None:
    return example.gold if isinstance(example.gold, NumberGold) else None


def _digits(value: float) -> str:
    return f"{value:,.5f}".rstrip("0").rstrip(".") or "0"


def _shown(gold: NumberGold, value: float | None = None) -> str:
    value = gold.value if value is None else value
    return f"{_digits(value * 100)}%" if gold_scale(gold) is Scale.DECIMAL else _digits(value)


def _dress(pattern: str) -> Make:
    """The gold in place of @, and of @l its LaTeX."""

    def make(example: Example) -> str | None:
        gold = _number(example)
        if gold is None:
            return None
        shown = _shown(gold)
        return pattern.replace("@l", shown.replace("%", r"\%")).replace("@", shown)

    return make


def _separated(separator: str) -> Make:
    def make(example: Example) -> str | None:
        gold = _number(example)
        if gold is None or abs(gold.value) < 1000:
            return None
        return rf"\boxed{{{_digits(gold.value).replace(',', separator)}}}"

    return make


def _decimal_comma(example: Example) -> str | None:
    gold = _number(example)
    if gold is None or abs(gold.value) >= 1000:
        return None
    shown = f"{gold.value:.4f}"
    return rf"\boxed{{{shown.replace('.', ',')}}}" if float(shown) and abs(gold.value) > 0.1 else None


def _accounting(example: Example) -> str | None:
    gold = _number(example)
    if gold is None or gold.value >= 0 or gold_scale(gold) is not Scale.AMOUNT:
        return None
    return f"The answer is ($ {_digits(-gold.value)} million)."


_CHANGE = re.compile(r"\b(?:growth|increas|percent(?:age)? change|change in)", re.IGNORECASE)


def _change(pattern: str, positive: bool) -> Make:
    """A growth or change of that sign, its size in place of @."""

    def make(example: Example) -> str | None:
        gold = _number(example)
        if gold is None or not gold.value or (gold.value > 0) is not positive:
            return None
        if not _CHANGE.search(gold.question) or asks_size(gold.question):
            return None
        if not positive and gold_scale(gold) is Scale.UNKNOWN:
            return None
        return pattern.replace("@", _shown(gold, abs(gold.value)))

    return make


_WORDS = {1e3: "thousand", 1e6: "million", 1e9: "billion"}
_LARGER = {1e3: "million", 1e6: "billion", 1e9: "trillion"}


def _unit(words: dict[float, str], factor: float = 1.0) -> Make:
    """The gold with a scale word, where the question names its unit; ``factor`` converts it."""

    def make(example: Example) -> str | None:
        gold = _number(example)
        unit = asked_unit(gold.question) if gold else None
        if gold is None or unit not in words or abs(gold.value) < 1e-3:
            return None
        if gold_scale(gold) in (Scale.DECIMAL, Scale.PERCENT):
            return None
        return rf"\boxed{{{_digits(gold.value * factor)} \text{{ {words[unit]}}}}}"

    return make


def _percent_for_price(example: Example) -> str | None:
    gold = _number(example)
    if gold is None or not re.search(r"\bper share\b|\bprice\b", gold.question, re.IGNORECASE):
        return None
    if re.search(r"percent|%|rate|return|ratio|growth|yield|represent", gold.question, re.IGNORECASE):
        return None
    if "%" in gold.answer or gold_scale(gold) in (Scale.DECIMAL, Scale.PERCENT):
        return None
    return rf"\boxed{{{_digits(gold.value)}\%}}" if abs(gold.value) > 1e-3 else None


def _two(pattern: str) -> Make:
    def make(example: Example) -> str | None:
        gold = _number(example)
        if gold is None or not gold.value:
            return None
        return pattern.replace("@2", _shown(gold, gold.value * 1.5)).replace("@", _shown(gold))

    return make


# Choices, yes or no, labels.


def _choice(pattern: str, *, lone_text: bool = False) -> Make:
    """@ the gold letter, @t its text, @o the letter before or after it, @n its place in Chinese."""

    def make(example: Example) -> str | None:
        gold = example.gold
        if not isinstance(gold, ChoiceGold):
            return None
        text = gold.options[gold.letter]
        if lone_text and (
            len(text) < 2 or any(text in o for k, o in gold.options.items() if k != gold.letter)
        ):
            return None
        letters = sorted(gold.options)
        place = letters.index(gold.letter)
        said = (
            pattern.replace("@t", text).replace("@o", letters[place - 1]).replace("@n", "一二三四五"[place])
        )
        return said.replace("@", gold.letter)

    return make


def _by_option(example: Example) -> str | None:
    gold = example.gold
    if not isinstance(gold, ChoiceGold):
        return None
    return "，".join(f"{k}{'正确' if k == gold.letter else '错误'}" for k in sorted(gold.options)) + "。"


def _options_again(example: Example) -> str | None:
    gold = example.gold
    if not isinstance(gold, ChoiceGold) or len(gold.options) < 2:
        return None
    return "\n\n".join(f"{letter}. {text}" for letter, text in gold.options.items())


def _yes_no(yes: str, no: str) -> Make:
    def make(example: Example) -> str | None:
        gold = example.gold
        chinese = isinstance(gold, YesNoGold) and example.benchmark == "ant_finance"
        return (yes if gold.yes else no) if chinese and isinstance(gold, YesNoGold) else None

    return make


def _label(pattern: str) -> Make:
    """@ the gold label."""

    def make(example: Example) -> str | None:
        gold = example.gold
        return pattern.replace("@", gold.label) if isinstance(gold, LabelGold) else None

    return make


def _tweet(example: Example) -> str | None:
    return example.question if isinstance(example.gold, LabelGold) else None


_DRESSES = {
    "boxed": r"<think>\boxed{1}</think>\boxed{@l}",
    "boxed in colour": r"\boxed{\textcolor{red}{@l}}",
    "boxed, underlined": r"\boxed{\underline{@l}}",
    "sentence": "The answer is @.",
    "bold": "Step by step.\n\n**@**",
    "<answer>": "<answer>@</answer>",
    "JSON": '{"answer": "@", "confidence": 0.95}',
    "after ####": "Add them up.\n#### @",
    "a remark on rounding": "The answer is @ (rounded to 5 decimals).",
    "a sentence about the answer": "The answer is @.\n\nThis answer is rounded to 5 decimal places.",
    "a confidence": "The answer is @.\n\nConfidence: 95%",
    "under headings": "#### Step 1: Read\nThe page.\n\n#### Step 2: Compute\nThe result is @.",
    "then a new question": "The answer is @.\n\nQuestion: how many pears are left?\nAnswer: 17",
    "a stray closing tag": r"<think>x</think>\boxed{@l}</think>",
    "reopened reasoning": r"<think>x</think>\boxed{@l}<think>let me check",
}
_LANGUAGES = {
    "答案是": "答案是@。",
    "所以结果为": "因此，结果为@。",
    "注 after it": "答案：@\n\n注：该答案保留5位小数。",
}

TRANSFORMATIONS: tuple[Transformation, ...] = (
    *(Transformation("dress", name, True, _dress(pattern)) for name, pattern in _DRESSES.items()),
    Transformation("dress", "blanks between thousands", True, _separated(" ")),
    Transformation("dress", "thin spaces between thousands", True, _separated(r"\,")),
    Transformation("dress", "apostrophes between thousands", True, _separated("'")),
    Transformation("dress", "decimal comma", True, _decimal_comma),
    Transformation("dress", "accounting brackets with unit", True, _accounting),
    *(Transformation("language", name, True, _dress(pattern)) for name, pattern in _LANGUAGES.items()),
    Transformation("direction", "increase, where it rose", True, _change("It is an increase of @.", True)),
    Transformation("direction", "decrease, where it fell", True, _change("It is a decrease of @.", False)),
    Transformation("direction", "lower, where it fell", True, _change("The answer is @ lower.", False)),
    Transformation("direction", "bold, where it fell", True, _change("It decreased by **@**.", False)),
    Transformation("direction", "下降, where it fell", True, _change("答案是下降@。", False)),
    Transformation("direction", "decrease, where it rose", False, _change("It is a decrease of @.", True)),
    Transformation("direction", "lower, where it rose", False, _change("The answer is @ lower.", True)),
    Transformation("direction", "下降, where it rose", False, _change("答案是下降@。", True)),
    Transformation("direction", "increase, where it fell", False, _change("It is an increase of @.", False)),
    Transformation(
        "direction", "rose although costs fell", False, _change("Costs fell, but it rose @.", False)
    ),
    Transformation("unit", "the unit that is asked for", True, _unit(_WORDS)),
    Transformation("unit", "converted to the next one", True, _unit(_LARGER, 1e-3)),
    Transformation("unit", "the next unit, same digits", False, _unit(_LARGER)),
    Transformation("unit", "a percentage for a price", False, _percent_for_price),
    Transformation("commitment", "two answers in one box", False, _two(r"\boxed{@ or @2}")),
    Transformation("commitment", "denied", False, _two("The answer is not @.")),
    Transformation("commitment", "open reasoning", False, _dress(r"<reasoning>so \boxed{@l} perhaps")),
    Transformation("choice", "letter boxed", True, _choice(r"\boxed{@}")),
    Transformation("choice", "故选", True, _choice("综上，故选@。")),
    Transformation("choice", "letter and reason", True, _choice("The answer is @ because it fits best.")),
    Transformation("choice", "letter, then others denied", True, _choice("@\n\n因为不是@o。")),
    Transformation("choice", "letter with its text", True, _choice("答案是@（@t）。")),
    Transformation("choice", "text alone", True, _choice(r"\boxed{@t}", lone_text=True)),
    Transformation("choice", "ordinal", True, _choice("答案是第@n项。")),
    Transformation("choice", "option by option", True, _by_option),
    Transformation("choice", "not the other, but", True, _choice("答案不是@o，而是@。")),
    Transformation("choice", "不选", False, _choice("不选@。")),
    Transformation("choice", "错误", False, _choice("选项@错误。")),
    Transformation("choice", "supposed", False, _choice("如果选@，那就错了。")),
    Transformation("choice", "two letters", False, _choice("答案是@和@o")),
    Transformation("choice", "the options again", False, _options_again),
    Transformation("yes/no", "word", True, _yes_no("答案：是", "答案：否")),
    Transformation(
        "yes/no", "verdict and reason", True, _yes_no("是。不是违规内容。", "否，因为不符合要求。")
    ),
    Transformation("yes/no", "negated twice or not", True, _yes_no("没有不合规之处。", "不能认为是合规的。")),
    Transformation("yes/no", "other words", True, _yes_no("并未违反规定。", "违反合规要求。")),
    Transformation("yes/no", "the question again", False, _yes_no("该内容是否合规？", "该内容是否合规？")),
    Transformation(
        "yes/no", "refused", False, _yes_no("抱歉，无法判断是否合规。", "抱歉，无法判断是否合规。")
    ),
    Transformation("label", "boxed", True, _label(r"\boxed{@}")),
    Transformation("label", "leans", True, _label("The tweet leans @.")),
    Transformation("label", "expresses", True, _label("It expresses a @ sentiment.")),
    Transformation("label", "therefore", True, _label("Therefore, @.")),
    Transformation("label", "denied", False, _label("The sentiment is anything but @.")),
    Transformation("label", "refused", False, _label("I cannot tell whether it is @.")),
    Transformation("label", "the tweet again", False, _tweet),
)

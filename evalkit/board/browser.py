"""The example browser's data: a light index per benchmark, and the texts in parts loaded on demand.

The data are classic scripts: a page opened from disk may load scripts, but not fetch files.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from evalkit.board.board import SiteRun
from evalkit.metrics import MOST_VALUES
from evalkit.schema import (
    DEFAULT,
    ChoiceGold,
    Gold,
    Item,
    LabelGold,
    NumberGold,
    Outcome,
    Sample,
    Score,
    YesNoGold,
)
from evalkit.scoring.reason import reason

CHUNK = 300_000  # characters: loaded in a blink, and 60,000 outputs make some hundreds of files

MOST_REASONS = 5_000
"""Answers without a reason in a site for which one is looked for."""

Key = tuple[str, int | None, int, str]
"""id, turn, number of the sample, gold answer"""


@dataclass(frozen=True, slots=True)
class Example:
    """What one or more runs have answered; `answers` is by the runs' numbers."""

    key: Key
    answers: dict[int, tuple[Item, Sample]]

    @property
    def any(self) -> tuple[Item, Sample]:
        """Any of its answers, for what is the same in all."""
        return next(iter(self.answers.values()))


def example_scripts(
    titles: Mapping[str, str],
    runs: Sequence[SiteRun],
    counting: Sequence[str],
    labels: Mapping[int, str] | None = None,
) -> dict[str, bytes]:
    """File name under data/ -> script. `counting` are the rules that count, `labels` names by run's number.

    `index.js` has the runs, rules and benchmarks; `b0.js` lists benchmark 0's examples with every verdict of
    every run under every rule as one character, and what was read and why it is wrong under the rule that
    counts; `b0-1.js` has the second part of their texts.
    """
    rules = sorted(
        {name for run in runs for name in run.run.rules}, key=lambda name: (name not in counting, name)
    )
    # Records of now have their reasons. To find those of old ones anew takes milliseconds an answer.
    old = sum(not sample.reason for run in runs for item in run.run.items for sample in item.samples)
    files: dict[str, bytes] = {}
    benchmarks: list[dict[str, str]] = []
    for name, title in titles.items():
        aligned = _aligned(name, runs, reasons=old <= MOST_REASONS)
        if not aligned:
            continue
        stem = f"b{len(benchmarks)}"
        benchmarks.append({"name": name, "title": title, "chunk": stem})
        starts = []
        for number, (first, content) in enumerate(_chunks(aligned, rules)):
            starts.append(first)
            files[f"{stem}-{number}.js"] = chunk(f"{stem}-{number}", content)
        files[f"{stem}.js"] = chunk(stem, _index(name, aligned, runs, rules, starts))
    head = {
        "benchmarks": benchmarks,
        "rules": rules,
        "outcomes": list(OUTCOMES),
        "runs": [
            {"slug": run.slug, "label": (labels or {}).get(run.number, run.label), "anchor": run.anchor}
            for run in runs
        ],
    }
    return {"index.js": chunk("index", head), **files}


def _aligned(benchmark: str, runs: Sequence[SiteRun], *, reasons: bool) -> list[Example]:
    """The examples of all runs, by group. Equal ids with other golds are other examples.

    Args:
        reasons: whether answers without a reason get one.
    """
    answers: dict[Key, dict[int, tuple[Item, Sample]]] = {}
    for run in runs:
        for item in run.items(benchmark):
            for sample in item.samples:
                key = (item.id, item.turn, sample.number, item.gold)
                answers.setdefault(key, {})[run.number] = (
                    item,
                    with_reason(item, sample) if reasons else sample,
                )
    found = [Example(key, each) for key, each in answers.items()]
    return sorted(found, key=_order)


def _order(example: Example) -> tuple[str, str, int, int, str]:
    id_, turn, sample, gold = example.key
    return example.any[0].group, id_, turn or 0, sample, gold


def _index(
    benchmark: str,
    examples: Sequence[Example],
    runs: Sequence[SiteRun],
    rules: Sequence[str],
    starts: Sequence[int],
) -> dict[str, Any]:
    asked = questions([example.any for example in examples])
    counts = [run.rule(benchmark) for run in runs]
    here = [any(run.number in example.answers for example in examples) for run in runs]
    return {
        "items": [
            [*example.key, question, example.any[0].printed]
            for example, question in zip(examples, asked, strict=True)
        ],
        "starts": starts,
        "verdicts": [
            [_marks(examples, run.number, rule) for rule in rules] if answered else None
            for run, answered in zip(runs, here, strict=True)
        ],
        "counts": [rules.index(rule) if rule in rules else 0 for rule in counts],
        "said": [
            _said(examples, run.number, rule) if answered else None
            for run, rule, answered in zip(runs, counts, here, strict=True)
        ],
        "facets": _facets(examples),
    }


OUTCOMES = get_args(Outcome)
_LETTERS = {outcome: chr(ord("a") + number) for number, outcome in enumerate(OUTCOMES)}
SAID = 40  # characters of what was read in the list


def _said(examples: Sequence[Example], run: int, rule: str) -> dict[str, Any]:
    """Of a run under the rule that counts, by example: outcome (a letter), cut off (`x`), read, and why.

    `why` is empty for right answers: of those the list says enough.
    """
    kinds, cut, read, why = [], [], [], []
    for example in examples:
        answer = example.answers.get(run)
        score = answer[1].scores.get(rule) if answer else None
        kinds.append(_LETTERS[score.outcome] if score else " ")
        ended = answer is None or not (
            answer[1].cut_off or (score and score.outcome in ("truncated", "loop"))
        )
        cut.append(" " if ended else "x")
        read.append(_cut((score.extracted if score else None) or ""))
        why.append(answer[1].reason if answer and score and score.correct is False else "")
    return {"kinds": "".join(kinds), "cut": "".join(cut), "read": read, "why": why}


def _cut(text: str) -> str:
    shown = " ".join(text[: 4 * SAID].split())
    return shown if len(shown) <= SAID else f"{shown[:SAID]}…"


def with_reason(item: Item, sample: Sample) -> Sample:
    """The answer with why the default rule refused it, also in a record made before reasons were kept."""
    score = sample.scores.get(DEFAULT)
    if sample.reason or score is None or score.correct is not False or sample.text is None:
        return sample
    gold = _gold(item)
    return replace(sample, reason=reason(sample.output, gold, score)) if gold else sample


def _gold(item: Item) -> Gold | None:
    """The gold answer as rules know it, as far as a record tells; None for free text."""
    if item.gold_kind == "number":
        try:
            return NumberGold(float(item.gold), question=item.question, answer=item.printed)
        except ValueError:  # an old record may say it otherwise
            return None
    if item.gold_kind == "yes_no":
        return YesNoGold(item.gold == "yes", question=item.question)
    if item.gold_kind == "choice":
        return ChoiceGold(item.gold, dict(item.choices))
    return LabelGold(item.gold, tuple(item.choices)) if item.gold_kind == "label" else None


def _facets(examples: Sequence[Example]) -> dict[str, dict[str, Any]]:
    """By facet its values as text, and by example the place of its value (-1: it has none)."""
    found: dict[str, dict[str, Any]] = {}
    for facet in dict.fromkeys(name for example in examples for name in example.any[0].facets):
        places: dict[str, int] = {}
        at = []
        for example in examples:
            facets = example.any[0].facets
            at.append(places.setdefault(str(facets[facet]), len(places)) if facet in facets else -1)
        if 1 < len(places) <= MOST_VALUES:
            found[facet] = {"values": list(places), "at": at}
    return found


def _marks(examples: Sequence[Example], run: int, rule: str) -> str | None:
    """One character an example; None where the rule judges nothing."""
    answers = (example.answers.get(run) for example in examples)
    marks = "".join(_mark(answer[1].scores.get(rule)) if answer else " " for answer in answers)
    return marks if marks.strip() else None


def _mark(score: Score | None) -> str:
    """`+` right, `-` wrong, `?` unscored, `!` the engine failed, blank: the rule does not apply."""
    if score is None:
        return " "
    if score.correct is not None:
        return "+" if score.correct else "-"
    return "?" if score.outcome == "unscored" else "!"


def _chunks(examples: Sequence[Example], rules: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The texts in parts of about CHUNK characters, with the place of each part's first example."""
    places = {rule: place for place, rule in enumerate(rules)}
    first, size = 0, 0
    texts: dict[str, int] = {}
    items: list[dict[str, Any]] = []
    for number, example in enumerate(examples):
        before = len(texts)
        items.append(_example(example, places, texts))
        size += len(json.dumps(items[-1], ensure_ascii=False)) + sum(map(len, list(texts)[before:]))
        if size >= CHUNK or number == len(examples) - 1:
            yield first, {"texts": list(texts), "items": items}
            first, size, texts, items = number + 1, 0, {}, []


def _example(example: Example, places: Mapping[str, int], texts: dict[str, int]) -> dict[str, Any]:
    """Messages refer to `texts`: the turns of a dialogue, and the runs, have most of theirs in common."""
    prompts: list[list[list[str | int]]] = []
    answers = []
    for run, (_, sample) in example.answers.items():
        prompt: list[list[str | int]] = [
            [role, texts.setdefault(content, len(texts))] for role, content in sample.messages
        ]
        if prompt not in prompts:
            prompts.append(prompt)
        answers.append({"run": run, "prompt": prompts.index(prompt), **_answer(sample, places)})
    facets = [[name, str(value)] for name, value in example.any[0].facets.items()]
    return {"facets": facets, "prompts": prompts, "answers": answers}


def _answer(sample: Sample, places: Mapping[str, int]) -> dict[str, Any]:
    return {
        "text": sample.text,
        "finish": sample.finish_reason,
        "promptTokens": sample.prompt_tokens,
        "tokens": sample.completion_tokens,
        "error": sample.error,
        "abandoned": sample.abandoned,
        **({"reason": sample.reason} if sample.reason else {}),
        "verdicts": [
            [
                places[rule],
                _mark(score),
                score.outcome,
                score.extracted,
                _utf16(sample.text, score.span),
                score.note,
            ]
            for rule, score in sample.scores.items()
        ],
    }


def _utf16(text: str | None, span: tuple[int, int] | None) -> tuple[int, int] | None:
    """A span of characters as JavaScript counts them; None if it is not within the text."""
    if text is None or span is None or not 0 <= span[0] <= span[1] <= len(text):
        return None
    start = _units(text[: span[0]])
    return start, start + _units(text[span[0] : span[1]])


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


CAP = 240
SHARED = 0.2  # the first turns of dialogues, which hold the instructions, are a quarter of ConvFinQA


def questions(answers: Sequence[tuple[Item, Sample]]) -> list[str]:
    """One line per example of one benchmark, at most 240 characters and an ellipsis.

    Records that were made before questions were kept do not say where in a prompt the question is. But
    instructions repeat from prompt to prompt and questions do not, and what is asked comes last: so it is the
    last run of lines that fewer than a fifth of the prompts share.
    """
    prompts = [_lines(sample) for _, sample in answers]
    counts = Counter(line for lines in prompts for line in set(lines))
    shared = {line for line, count in counts.items() if count > 1 and count >= SHARED * len(prompts)}
    guessed = [" ".join(_last_run(lines, shared)) for lines in prompts]
    label = _label(guessed)
    return [
        _short(" ".join(item.question.split()) or guess.removeprefix(label))
        for (item, _), guess in zip(answers, guessed, strict=True)
    ]


def _label(texts: Sequence[str]) -> str:
    """`Question: ` if all begin so: before every one it says nothing."""
    first, colon, _ = texts[0].partition(": ") if len(texts) > 1 else ("", "", "")
    return first + colon if colon and all(text.startswith(first + colon) for text in texts) else ""


def _short(text: str) -> str:
    return text if len(text) <= CAP else text[:CAP] + "…"


def _lines(sample: Sample) -> list[str]:
    content = sample.messages[-1][1] if sample.messages else ""
    return [line for line in (" ".join(line.split()) for line in content.splitlines()) if line]


def _last_run(lines: Sequence[str], shared: set[str]) -> list[str]:
    end = len(lines)
    while end and lines[end - 1] in shared:
        end -= 1
    start = end
    while start and lines[start - 1] not in shared:
        start -= 1
    # Every line is everybody's: then the last one is as good as any.
    return list(lines[start:end]) or list(lines[-1:])


def chunk(name: str, content: object) -> bytes:
    """A script that hands `content` to the page: `evalkit.chunk("name", {...});`.

    `content` is JSON-able; its texts are anybody's, keys and `name` are ours (a key `__proto__` would be no
    data). `<` is escaped so that no `</script>` or `<!--` appears, the line separators U+2028 and U+2029
    because they ended lines in older JavaScript. A lone surrogate, which UTF-8 cannot hold, stays an escape.
    """
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f'evalkit.chunk("{name}",{text});\n'.encode("utf-8", "backslashreplace")

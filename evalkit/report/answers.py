"""The answers of a run in the terminal: a list, and one answer in full with why it was judged as it was.

Questions and outputs are somebody else's text: control characters are shown and not obeyed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from evalkit.metrics import counting_rule
from evalkit.run.info import Run
from evalkit.schema import DEFAULT, Item, Sample, Score
from evalkit.text import printable, visible_lines

_CELL = 24  # characters of a gold answer or of what was read in the list
_MARK = "reverse bold"
MARKS = {True: "+", False: "-", None: "?"}


def chosen(run: Run, *, id_: str | None, benchmark: str | None, wrong: bool) -> list[tuple[Item, Sample]]:
    """The answers that are asked for, in the run's order.

    Args:
        id_: an example's id, `ID turn N`, or the beginning of exactly one; None: all.
        wrong: only those that the rule that counts refuses.
    """
    items = [item for item in run.items if benchmark in (None, item.benchmark)]
    if id_ is not None:
        items = _named(items, id_)
    found = [(item, sample) for item in items for sample in item.samples]
    if not wrong:
        return found
    rules = rules_of(run)
    return [
        (item, sample)
        for item, sample in found
        if (score := sample.scores.get(rules[item.benchmark])) is not None and score.correct is False
    ]


def _named(items: Sequence[Item], id_: str) -> list[Item]:
    exact = [item for item in items if id_ in (item.id, example_name(item))]
    if exact:
        return exact
    begun = [item for item in items if item.id.startswith(id_)]
    return begun if len({item.id for item in begun}) == 1 else []


def example_name(item: Item) -> str:
    """What names an example within its benchmark."""
    return item.id if item.turn is None else f"{item.id} turn {item.turn}"


def rules_of(run: Run) -> dict[str, str]:
    """By benchmark the rule that counts there."""
    return {
        name: counting_rule(items, run.info.benchmarks[name].rule)
        for name, items in run.by_benchmark().items()
    }


def list_lines(run: Run, answers: Iterable[tuple[Item, Sample]]) -> Iterator[str]:
    """A line an answer: right or wrong, id, gold, what was read, and the kind of the verdict."""
    rules, benchmark = rules_of(run), ""
    for item, sample in answers:
        if item.benchmark != benchmark:
            benchmark = item.benchmark
            yield f"{run.info.benchmarks[benchmark].title} (rule {rules[benchmark]})"
        score = sample.scores.get(rules[benchmark])
        name = printable(example_name(item), 200) + (f" sample {sample.number}" if sample.number else "")
        gold = printable(item.printed or item.gold, _CELL) if item.gold_kind != "text" else ""
        read = printable((score.extracted if score else "") or "-", _CELL)
        kind = score.outcome.replace("_", " ") if score else "this rule does not apply"
        yield f"{MARKS[score.correct if score else None]} {name}  gold {gold or '-'}  read {read}  {kind}"


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """An answer and its verdict under the `rule` that counts. `messages`: None where nobody asked for it."""

    benchmark: str
    id: str
    turn: int | None
    sample: int
    question: str
    gold: str
    printed: str
    rule: str
    score: Score | None
    reason: str
    text: str | None
    finish_reason: str | None
    completion_tokens: int | None
    error: str | None
    messages: tuple[tuple[str, str], ...] | None


def answer_records(
    run: Run, answers: Iterable[tuple[Item, Sample]], *, prompt: bool
) -> Iterator[AnswerRecord]:
    """The answers in full, for programs.

    Args:
        prompt: whether everything that the model was told is among it.
    """
    rules = rules_of(run)
    for item, sample in answers:
        rule = rules[item.benchmark]
        yield AnswerRecord(
            benchmark=item.benchmark,
            id=item.id,
            turn=item.turn,
            sample=sample.number,
            question=item.question or _last_question(sample),
            gold=item.gold,
            printed=item.printed,
            rule=rule,
            score=sample.scores.get(rule),
            reason=sample.reason,
            text=sample.text,
            finish_reason=sample.finish_reason,
            completion_tokens=sample.completion_tokens,
            error=sample.error,
            messages=sample.messages if prompt else None,
        )


def answer_parts(run: Run, item: Item, sample: Sample, *, prompt: bool, width: int) -> Iterator[Text]:
    """One answer in full: the question, the gold answer, the verdict and why, and the output.

    Args:
        prompt: whether everything that the model was told is shown.
        width: columns to wrap to.
    """
    rule = rules_of(run)[item.benchmark]
    score = sample.scores.get(rule)
    title = f"{run.info.benchmarks[item.benchmark].title} · {printable(example_name(item), 200)}"
    yield Text(title + (f" · sample {sample.number}" if sample.number else ""), style="bold")
    if prompt:
        for role, content in sample.messages:
            yield Text(f"[{role}]", style="bold")
            yield _wrapped(content, width)
    yield _wrapped(item.question or _last_question(sample), width)
    printed = f" ({printable(item.printed)} as the dataset prints it)" if item.printed else ""
    yield Text(f"gold:    {printable(item.gold, 2000) or '-'}{printed}")
    yield Text(f"read:    {printable((score.extracted if score else None) or 'nothing', 400)}")
    yield Text(f"verdict: {_verdict(rule, score, sample)}")
    if sample.reason:
        yield Text(f"why:     {printable(sample.reason, 400)}" + ("" if rule == DEFAULT else f" ({DEFAULT})"))
    yield Text(f"output{_facts(sample)}:")
    yield _output(sample, score, width)


def _last_question(sample: Sample) -> str:
    """Records that were made before questions were kept have only the prompt."""
    return sample.messages[-1][1] if sample.messages else ""


def _verdict(rule: str, score: Score | None, sample: Sample) -> str:
    if sample.error is not None:
        return f"no answer: {printable(sample.error)}"
    if score is None:
        return f"rule {rule} does not apply"
    note = f": {printable(score.note, 200)}" if score.note else ""
    return f"{score.outcome.replace('_', ' ')}{note} (rule {rule})"


def _facts(sample: Sample) -> str:
    tokens = f"{sample.completion_tokens:,} tokens" if sample.completion_tokens is not None else ""
    cut = f"cut off ({sample.finish_reason})" if sample.cut_off else ""
    said = ", ".join(part for part in (tokens, cut) if part)
    return f" ({said})" if said else ""


def _output(sample: Sample, score: Score | None, width: int) -> Text:
    """With the part that was taken as the answer marked."""
    text, span = sample.text or "", score.span if score else None
    if span is None or not 0 <= span[0] < span[1] <= len(text):
        return _wrapped(text, width)
    shown = Text(visible_lines(text[: span[0]]))
    shown.append(f"»{visible_lines(text[span[0] : span[1]])}«", style=_MARK)
    shown.append(visible_lines(text[span[1] :]))
    return shown


def _wrapped(text: str, width: int) -> Text:
    lines = (
        textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        for line in visible_lines(text).split("\n")
    )
    return Text("\n".join(lines))

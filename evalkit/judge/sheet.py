"""Labelling in a terminal: one answer at a time, a key for each verdict, every verdict on disk at once.

The labeller is blind: neither the rule's verdict nor the judge's is shown, nor whose answer it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from evalkit.judge.labels import Label
from evalkit.judge.subject import Subject
from evalkit.runner.request import Name
from evalkit.scorers.reasoning import answer_start

LEGEND = "1 right   0 wrong   b borderline   s skip   u undo   q quit"
_VERDICTS: Mapping[str, bool | None] = {"1": True, "0": False, "b": None}
_SHORT, _LONG = 900, 3_000  # characters of a field: of a question or a committed answer, of free text

Labels = dict[Name, Label]


def fill(
    subjects: Sequence[Subject],
    labels: Labels,
    keys: Iterable[str],
    show: Callable[[Subject, int], None],
    save: Callable[[Labels], None],
) -> int:
    """Ask for the verdicts that `labels` lacks, key by key, until all are there or the labeller quits.

    Args:
        labels: changed in place, and saved after every key that changes them.
        keys: single characters; their end is a quit.
        show: puts a subject before the labeller, with the number of those left.

    Returns:
        How many of the subjects have no label yet.
    """
    open_ = [subject for subject in subjects if subject.name not in labels]
    at = 0
    pressed = iter(keys)
    while at < len(open_):
        subject = open_[at]
        show(subject, len(open_) - at)
        key = next((key for each in pressed if (key := each.lower()) in "10bsuq"), "q")
        if key == "q":
            break
        if key == "u":
            at = max(at - 1, 0)
            if labels.pop(open_[at].name, None) is not None:
                save(labels)
            continue
        if key in _VERDICTS:
            labels[subject.name] = label_of(subject, _VERDICTS[key])
            save(labels)
        at += 1
    return sum(subject.name not in labels for subject in subjects)


def label_of(subject: Subject, correct: bool | None) -> Label:
    """A verdict on this very answer; None if it is borderline."""
    return Label(*subject.name, key=subject.key, correct=correct)


def card(subject: Subject, left: int) -> RenderableType:
    """A subject for the terminal; nothing in somebody else's text reaches it as a command."""
    free_text = subject.case.task == "free_text"
    parts = [
        ("Question", shortened(subject.case.question, _SHORT)),
        ("Reference" if free_text else "Gold answer", shortened(subject.case.reference, _LONG)),
    ]
    if not free_text:
        parts.append(("Found as its answer", shortened(subject.extracted, _SHORT) or "-"))
    parts.append(("Answer" if free_text else "End of the answer", answer_shown(subject)))
    panels = [Panel(Text(printable(text)), title=title, title_align="left") for title, text in parts]
    head = Text(f"{subject.benchmark}: {left} left", style="bold")
    return Group(head, *panels, Text(LEGEND, style="bold"))


def answer_shown(subject: Subject) -> str:
    """What a labeller reads of an output: the end of what follows the reasoning, of free text most of it."""
    text = subject.case.answer
    answer = text[answer_start(text) or 0 :].strip()
    if subject.case.task == "free_text":
        return shortened(answer, _LONG)
    return answer if len(answer) <= _SHORT else "[…]" + answer[-_SHORT:]


def shortened(text: str, cap: int) -> str:
    """At most `cap` characters: the first and the last ones of a longer text."""
    if len(text) <= cap:
        return text
    half = cap // 2
    return f"{text[:half]} […{len(text) - 2 * half} characters…] {text[-half:]}"


def printable(text: str) -> str:
    """`text` with its lines, and nothing else in it that a terminal would act upon or not show."""
    lines = text.replace("\t", "    ").split("\n")
    return "\n".join(
        "".join(c if c.isprintable() else "�" for c in line.removesuffix("\r")) for line in lines
    )


def shower(console: Console) -> Callable[[Subject, int], None]:
    """Shows subjects on a console, each on a clean screen."""

    def show(subject: Subject, left: int) -> None:
        console.clear()
        console.print(card(subject, left))

    return show

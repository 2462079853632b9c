"""What a judge is asked: constant instructions first, then the texts of the case, delimited and shielded.

All stands in one user message. Small models know no system role reliably, and some templates refuse one; the
instructions come first, so that the cases of one task and language share a cached prefix. The templates are
`prompts/<task>.<language>.jinja` over `prompts/base.<language>.jinja`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from evalkit.example import Message
from evalkit.judge.case import Case
from evalkit.judge.contract import CRITERIA, Contract, Form
from evalkit.judge.shield import parts, shielded, tag_of
from evalkit.scorers.reasoning import answer_start

_TEMPLATES = Path(__file__).parent / "prompts"

# Characters kept of the head and of the tail. A page's question and an answer's result stand at the end.
_QUESTION = (1_000, 3_000)
_REFERENCE = (6_000, 2_000)
_ANSWER = {
    "answer": (500, 3_500),
    "free_text": (8_000, 4_000),
    "pairwise": (8_000, 4_000),
    "reasoning": (16_000, 8_000),
    "reasoning_holistic": (16_000, 8_000),
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """The messages for the judge, and the contract that its reply must keep."""

    messages: tuple[Message, ...]
    contract: Contract


@dataclass(frozen=True, slots=True)
class _Field:
    """One text as it is shown: no part (it is empty), one, or head and tail."""

    name: str
    parts: tuple[str, ...]


def prompt_of(case: Case, form: Form) -> Prompt:
    """The prompt for a case, with a reply in JSON or as a `\\boxed{}`. The same case, the same text.

    The reasoning of an output is left out, except where the reasoning is what is judged. An output whose
    reasoning never ends has answered nothing and is shown as empty.
    """
    fields = tuple(_fields(case))
    text = (
        _environment()
        .get_template(f"{case.task}.{case.language}.jinja")
        .render(
            fields=fields,
            tag=tag_of([part for field in fields for part in field.parts]),
            form=form,
            criteria=CRITERIA,
        )
    )
    return Prompt((Message("user", text),), Contract(case.task, form))


def templates_fingerprint() -> str:
    """The sha256 over the names and contents of all templates."""
    digest = hashlib.sha256()
    for path in sorted(_TEMPLATES.glob("*.jinja")):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


@cache
def _environment() -> SandboxedEnvironment:
    return SandboxedEnvironment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        autoescape=False,  # a prompt is plain text, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _fields(case: Case) -> Iterator[_Field]:
    """The texts in the order shown. A question may be unknown; a comparison may do without a reference.

    The answer check is not given the question: with it, Fin-R1's two judges were wrong on 8.0 and 6.0 % of
    answers, without it on 0.4 and 2.8 % (arXiv 2503.16252, appendix C.1).
    """
    if case.question.strip() and case.task != "answer":
        yield _field("question", case.question, _QUESTION)
    reference = [_field("reference", case.reference, _REFERENCE)]
    if case.task == "pairwise" and not case.reference.strip():
        reference = []
    answers = list(_answers(case))
    yield from reference + answers if case.order == "reference_first" else answers + reference


def _answers(case: Case) -> Iterator[_Field]:
    kept = _ANSWER[case.task]
    if case.task == "pairwise":
        yield _field("first", _after_reasoning(case.answer), kept)
        yield _field("second", _after_reasoning(case.other), kept)
    elif case.task in ("answer", "free_text"):
        yield _field("answer", _after_reasoning(case.answer), kept)
    else:
        yield _field("output", case.answer, kept)


def _field(name: str, text: str, kept: tuple[int, int]) -> _Field:
    return _Field(name, parts(shielded(text), *kept))


def _after_reasoning(output: str) -> str:
    start = answer_start(output)
    return "" if start is None else output[start:]

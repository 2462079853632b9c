r"""What a judge's reply must be, and what it says: one JSON object, or one `\boxed{}`, after any reasoning.

A reply that says less, more or two things is broken, and never read in the more likely way: an answer that
gets itself quoted must not become the verdict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evalkit.judge.case import BrokenReply, Ruling, Task
from evalkit.scorers.reasoning import answer_start

Form = Literal["json", "boxed"]

# Fin-R1's reasoning check (arXiv 2503.16252): all seven must hold.
CRITERIA = (
    "internal_consistency",
    "term_overlap",
    "enough_steps",
    "logical_consistency",
    "content_diversity",
    "domain_relevance",
    "instruction_consistency",
)
GRADES = (0, 0.25, 0.5, 0.75, 1)

_VERDICT: Mapping[str, tuple[object, ...]] = {"verdict": (0, 1)}
_ALLOWED: dict[Task, Mapping[str, tuple[object, ...]]] = {
    "answer": _VERDICT,
    "free_text": {"grade": GRADES},
    "reasoning": dict.fromkeys(CRITERIA, (False, True)),
    "reasoning_holistic": _VERDICT,
    "pairwise": {"better": ("first", "second", "tie")},
}
_SCHEMAS: dict[str, dict[str, object]] = {
    "verdict": {"type": "integer", "enum": [0, 1]},
    "grade": {"type": "number", "enum": list(GRADES)},
    "better": {"type": "string", "enum": ["first", "second", "tie"]},
    **{name: {"type": "boolean"} for name in CRITERIA},
}
_PAIRWISE_SCORE = {"first": 1.0, "second": 0.0, "tie": 0.5}
_PAIRWISE_BOX = {"1": "first", "2": "second", "0": "tie"}

_REPLY_CHARS = 1_000_000  # with its reasoning
_VERDICT_CHARS = 16_000  # without
_OPENED = re.compile(r"<think(?:ing)?\s{0,3}>", re.IGNORECASE)
_CLOSED = re.compile(r"</think(?:ing)?\s{0,3}>", re.IGNORECASE)
_BOX = re.compile(r"\\boxed\s{0,3}\{([^{}\\]{0,64})\}")
_DECIMAL = re.compile(r"[0-9](?:\.[0-9]{1,2})?")
_SEVEN = re.compile(r"[01](?:[ ,]{0,2}[01]){6}")


@dataclass(frozen=True, slots=True)
class Contract:
    """The reply that a task asks for, in one of two forms."""

    task: Task
    form: Form

    @property
    def json_schema(self) -> str | None:
        """A JSON schema as canonical text, for servers that see to it; None in boxed form."""
        if self.form == "boxed":
            return None
        names = list(_ALLOWED[self.task])
        schema = {
            "type": "object",
            "properties": {name: _SCHEMAS[name] for name in names},
            "required": names,
            "additionalProperties": False,
        }
        return json.dumps(schema, separators=(",", ":"))

    @property
    def max_tokens(self) -> int:
        """What a well-formed reply needs, without thinking: a box may come with a few sentences before it."""
        if self.form == "boxed":
            return 256
        return 192 if self.task == "reasoning" else 48

    def parse(self, reply: str) -> Ruling:
        """What a reply says.

        In JSON `{"verdict": 0}`, `{"grade": 0.75}`, `{"better": "first"}` or the seven criteria as
        true/false, alone or in one fence. In a box `\\boxed{0}`, `\\boxed{0.75}`, 1, 2 or 0 for first, second
        or tie, or `\\boxed{1110111}`, with or without words around it.

        Reasoning before it is not looked at if its opening tag begins the reply. Where that is missing (a
        template may have prefilled it, or the reply quotes a closing one), it must hold no other verdict.
        Linear time.

        Raises:
            BrokenReply: it is anything else; the message says what.
        """
        before, verdict = _after_reasoning(reply)
        if self.form == "json":
            return _ruling(self.task, self._from_json(before, verdict))
        return _ruling(self.task, self._from_box(before, verdict))

    def _from_json(self, before: str, verdict: str) -> dict[str, object]:
        if "{" in before:
            raise BrokenReply("two replies")
        found = _json_object(verdict)
        allowed = _ALLOWED[self.task]
        if found.keys() != allowed.keys():
            raise BrokenReply("other keys than asked for" if found else "no verdict")
        for name, values in allowed.items():
            if not any(_same(found[name], value) for value in values):
                raise BrokenReply("out of range")
        return found

    def _from_box(self, before: str, verdict: str) -> dict[str, object]:
        if not (found := _boxes(verdict)):
            raise BrokenReply("no verdict")
        read = [self._boxed(content) for content in found + _boxes(before)]
        if any(each != read[0] for each in read):
            raise BrokenReply("two different verdicts")
        return read[0]

    def _boxed(self, content: str) -> dict[str, object]:
        """A box in the terms of the JSON form."""
        if self.task == "reasoning" and _SEVEN.fullmatch(content):
            digits = content.replace(",", "").replace(" ", "")
            return {name: digit == "1" for name, digit in zip(CRITERIA, digits, strict=True)}
        if self.task == "pairwise" and content in _PAIRWISE_BOX:
            return {"better": _PAIRWISE_BOX[content]}
        if self.task in ("answer", "free_text", "reasoning_holistic") and _DECIMAL.fullmatch(content):
            ((name, values),) = _ALLOWED[self.task].items()
            if float(content) in values:
                return {name: float(content)}
        raise BrokenReply("out of range")


def _after_reasoning(reply: str) -> tuple[str, str]:
    """The reply after its reasoning, and what stands before that and may or may not be reasoning."""
    if len(reply) > _REPLY_CHARS:
        raise BrokenReply("too long")
    start = answer_start(reply)
    if start is None:
        raise BrokenReply("cut off in its reasoning")
    before, verdict = reply[:start], reply[start:].strip()
    if not verdict:
        raise BrokenReply("no verdict")
    if len(verdict) > _VERDICT_CHARS:
        raise BrokenReply("too long")
    if len(_CLOSED.findall(before)) > 1:
        raise BrokenReply("its reasoning ends twice")
    opened = _OPENED.search(before)
    if opened and before[: opened.start()].strip():
        raise BrokenReply("text before its reasoning")
    return "" if opened else before, verdict


def _json_object(text: str) -> dict[str, object]:
    if text.startswith("```") and text.endswith("```") and len(text) > 6:
        text = text[3:-3].removeprefix("json").strip()
    try:
        found: Any = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise BrokenReply("text beside the JSON object") from error
        cut = text.startswith("{") and not text.endswith("}")
        raise BrokenReply("cut off" if cut else "not JSON") from error
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits, a thousand brackets
        raise BrokenReply("not JSON") from error
    if not isinstance(found, dict):
        raise BrokenReply("no JSON object")
    return found


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise BrokenReply("a key twice")
    return dict(pairs)


def _no_constant(_name: str) -> object:
    raise BrokenReply("not JSON")


def _same(given: object, value: object) -> bool:
    """Equal, without Python's `True == 1`."""
    return given == value and isinstance(given, bool) == isinstance(value, bool)


def _boxes(text: str) -> list[str]:
    """The contents of all boxes; each must be plain and closed, else no one knows what the reply says."""
    found = [content.strip() for content in _BOX.findall(text)]
    if len(found) < text.count("\\boxed"):
        raise BrokenReply("cut off" if text.rfind("{") > text.rfind("}") else "a box that is not a verdict")
    return found


def _ruling(task: Task, values: Mapping[str, Any]) -> Ruling:
    if task == "reasoning":
        criteria = {name: bool(values[name]) for name in CRITERIA}
        return Ruling(float(all(criteria.values())), criteria)
    if task == "pairwise":
        return Ruling(_PAIRWISE_SCORE[values["better"]])
    (value,) = values.values()
    return Ruling(float(value))

"""Yes or no, in English or Chinese, safe against negation: "否，这不是合规的" is no."""

from __future__ import annotations

import re

from evalkit.scorers.answer import Answer, answers
from evalkit.scorers.verdict import Output

_CJK = r"[\u4e00-\u9fff]"
_CLAUSE = re.compile(r"[\n。.!！?？;；,，:：()\"'“”]")
_SAYS = re.compile(
    r"\s{0,9}(?:[-*#>]\s?)?(?:(?P<yes>yes|true|correct|是的|对的|是(?!" + _CJK + r")|对(?!" + _CJK + r"))|"
    r"(?P<no>no|false|incorrect|not|不是|不对|否(?![则认定决])|错误?))(?![a-z])",
    re.IGNORECASE,
)
_EITHER = re.compile(r"\byes\s?(?:or|/|,|and)\s?no\b|是\s?[/或]\s?否", re.IGNORECASE)
# Only where no 是 or 否 is said: what the question asked for, affirmed or denied.
_AFFIRMED = re.compile(
    r"(?P<no>不|未|没有|并非|非|无法)?(?:太|够|能|会|完全)?(?:合规|符合|属实|正确|一致|合法|准确)"
)


def yes_no_answer(output: Output) -> tuple[Answer, bool | None] | None:
    """The answer and what it says (None: it says neither, or both); None without an answer."""
    seen: Answer | None = None
    for answer in answers(output):
        seen = seen or (answer if answer.how in ("box", "phrase") else None)
        said = _read(answer)
        if said is not None:
            return answer, said
        if answer.how == "box":
            break
    return (seen, None) if seen else None


def _read(answer: Answer) -> bool | None:
    said = [match for clause in _CLAUSE.split(answer.text) if (match := _SAYS.match(clause))]
    votes = [match["yes"] is not None for match in said]
    if votes:
        if answer.how == "box" and _EITHER.search(answer.text):
            return None
        # A box or a phrase opens with its verdict and explains it; running text may weigh both, then decide.
        return votes[-1] if answer.how == "tail" else votes[0]
    affirmed = {match["no"] is None for match in _AFFIRMED.finditer(answer.text)}
    return affirmed.pop() if len(affirmed) == 1 else None

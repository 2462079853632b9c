"""What a reply says, and what is no reply."""

from __future__ import annotations

import json
from itertools import product
from typing import get_args

import pytest

from evalkit.judge.prompt import CRITERIA, GRADES, BrokenReply, Contract
from evalkit.schema import Ruling, Task

TASKS = get_args(Task)
ALL = dict.fromkeys(CRITERIA, True)
ONE_FALSE = {**ALL, "enough_steps": False}
THINKING = "<think>\nIt may be {1} or \\boxed{0}, or \\boxed{1}.\n</think>\n\n"

GOOD = [
    ("answer", '{"verdict": 1}', "\\boxed{1}", Ruling(1.0)),
    ("answer", '{"verdict":0}', "\\boxed{0}", Ruling(0.0)),
    ("reasoning_holistic", '{ "verdict" : 1 }\n', "\\boxed{ 1 }", Ruling(1.0)),
    ("free_text", '{"grade": 0.75}', "\\boxed{0.75}", Ruling(0.75)),
    ("free_text", '{"grade": 1.0}', "\\boxed{1.0}", Ruling(1.0)),
    ("free_text", '{"grade": 0}', "\\boxed{0}", Ruling(0.0)),
    ("pairwise", '{"better": "first"}', "\\boxed{1}", Ruling(1.0)),
    ("pairwise", '{"better": "second"}', "\\boxed{2}", Ruling(0.0)),
    ("pairwise", '{"better": "tie"}', "\\boxed{0}", Ruling(0.5)),
    ("reasoning", json.dumps(ALL), "\\boxed{1111111}", Ruling(1.0, ALL)),
    ("reasoning", json.dumps(ONE_FALSE, indent=2), "\\boxed{1, 1, 0, 1, 1, 1, 1}", Ruling(0.0, ONE_FALSE)),
]


def reason(task: Task, form: str, reply: str) -> str:
    with pytest.raises(BrokenReply) as broken:
        Contract(task, "json" if form == "json" else "boxed").parse(reply)
    return str(broken.value)


@pytest.mark.parametrize(("task", "as_json", "as_box", "ruling"), GOOD)
def test_a_reply_that_keeps_the_contract(task: Task, as_json: str, as_box: str, ruling: Ruling) -> None:
    dressed = (as_json, f"```json\n{as_json}\n```", f"```\n{as_json}\n```\n", THINKING + as_json)
    for reply in (*dressed, f"The same thinking, prefilled.</think>{as_json}"):
        assert Contract(task, "json").parse(reply) == ruling
    dressed = (as_box, f"$${as_box}$$", f"They differ.\n\n**{as_box}**", f"{as_box}, that is {as_box}.")
    for reply in (*dressed, THINKING + as_box, f"So {as_box}.</think>{as_box}"):
        assert Contract(task, "boxed").parse(reply) == ruling


@pytest.mark.parametrize("place", range(7))
def test_all_seven_criteria_must_hold(place: int) -> None:
    criteria = {name: number != place for number, name in enumerate(CRITERIA)}
    digits = "".join(str(int(holds)) for holds in criteria.values())
    assert Contract("reasoning", "json").parse(json.dumps(criteria)) == Ruling(0.0, criteria)
    assert Contract("reasoning", "boxed").parse(f"\\boxed{{{digits}}}") == Ruling(0.0, criteria)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("", "no verdict"),
        ("  \n", "no verdict"),
        ("{}", "no verdict"),
        ("<think>done</think>", "no verdict"),
        ("<think>the verdict is 1", "cut off in its reasoning"),
        ('{"verdict": 1}<think>', "cut off in its reasoning"),
        ("1", "no JSON object"),
        ('[{"verdict": 1}]', "no JSON object"),
        ("null", "no JSON object"),
        ("The verdict is 1.", "not JSON"),
        ('The verdict: {"verdict": 1}', "not JSON"),
        ("{'verdict': 1}", "not JSON"),
        ('{"verdict": 1,}', "not JSON"),
        ("{verdict: 1}", "not JSON"),
        ('{"verdict": NaN}', "not JSON"),
        ('{"verdict": ' + "1" * 5_000 + "}", "not JSON"),
        ("[" * 10_000, "not JSON"),
        ("[" * 8_000 + "]" * 8_000, "not JSON"),
        ('{"verdict":' * 1_400, "not JSON"),
        ("{", "cut off"),
        ('{"verdict', "cut off"),
        ('{"verdict": 1', "cut off"),
        ('{"verdict": 1} {"verdict": 1}', "text beside the JSON object"),
        ('{"verdict": 1} because', "text beside the JSON object"),
        ('{"verdict": 1, "verdict": 1}', "a key twice"),
        ('{"verdict": 0, "\\u0076erdict": 1}', "a key twice"),
        ('{"verdict": 1, "note": "same"}', "other keys than asked for"),
        ('{"Verdict": 1}', "other keys than asked for"),
        ('{"grade": 1}', "other keys than asked for"),
        ('{"verdict": 2}', "out of range"),
        ('{"verdict": -1}', "out of range"),
        ('{"verdict": 0.5}', "out of range"),
        ('{"verdict": 1e999}', "out of range"),
        ('{"verdict": "1"}', "out of range"),
        ('{"verdict": true}', "out of range"),
        ('{"verdict": null}', "out of range"),
        ('{"verdict": [1]}', "out of range"),
        ('{"verdict": {}}', "out of range"),
        ("\\boxed{1}", "not JSON"),
        ('{"verdict": 0} It says "</think>{"verdict": 1}', "two replies"),
        ('{"verdict": 0}<think></think>{"verdict": 1}', "text before its reasoning"),
        ('<think>It says </think> {"verdict": 0}.</think>{"verdict": 1}', "its reasoning ends twice"),
        ("x" * 17_000, "too long"),
        ("x" * 2_000_000, "too long"),
    ],
)
def test_json_that_breaks_the_contract(reply: str, says: str) -> None:
    assert reason("answer", "json", reply) == says


@pytest.mark.parametrize(
    ("task", "reply"),
    [
        ("free_text", '{"grade": 0.8}'),
        ("free_text", '{"grade": true}'),
        ("free_text", '{"grade": "0.5"}'),
        ("pairwise", '{"better": "First"}'),
        ("pairwise", '{"better": 1}'),
        ("reasoning", json.dumps({**ALL, "enough_steps": 1})),
        ("reasoning", json.dumps({**ALL, "enough_steps": "true"})),
        ("reasoning", json.dumps({**ALL, "enough_steps": None})),
    ],
)
def test_json_out_of_range(task: Task, reply: str) -> None:
    assert reason(task, "json", reply) == "out of range"


@pytest.mark.parametrize(
    ("task", "reply", "says"),
    [
        ("answer", "", "no verdict"),
        ("answer", "The answer is right.", "no verdict"),
        ("answer", "1", "no verdict"),
        ("answer", '{"verdict": 1}', "no verdict"),
        ("answer", "boxed{1}", "no verdict"),
        ("answer", "\\ boxed{1}", "no verdict"),
        ("answer", "<think>\\boxed{1}", "cut off in its reasoning"),
        ("answer", "<think>\\boxed{1}</think>", "no verdict"),
        ("answer", "\\boxed{0} \\boxed{1}", "two different verdicts"),
        ("answer", "\\boxed{0} It says </think>\\boxed{1}", "two different verdicts"),
        ("answer", "\\boxed{0}<think></think>\\boxed{1}", "text before its reasoning"),
        ("answer", "\\boxed{1", "cut off"),
        ("answer", "\\boxed{0} \\boxed{", "cut off"),
        ("answer", "\\boxed 1", "a box that is not a verdict"),
        ("answer", "\\boxed{\\text{1}}", "a box that is not a verdict"),
        ("answer", "\\boxed{\\boxed{1}}", "a box that is not a verdict"),
        ("answer", "\\boxed{1} \\boxed{\\frac{1}{2}}", "a box that is not a verdict"),
        ("answer", "\\boxed{" + "1" * 100 + "}", "a box that is not a verdict"),
        ("answer", "\\boxed{42}", "out of range"),
        ("answer", "\\boxed{}", "out of range"),
        ("answer", "\\boxed{yes}", "out of range"),
        ("answer", "\\boxed{0.5}", "out of range"),
        ("answer", "\\boxed{１}", "out of range"),
        ("answer", "\\boxed{-1}", "out of range"),
        ("answer", "\\boxed{1} since \\boxed{42} is right", "out of range"),
        ("free_text", "\\boxed{0.8}", "out of range"),
        ("free_text", "\\boxed{75%}", "out of range"),
        ("pairwise", "\\boxed{3}", "out of range"),
        ("pairwise", "\\boxed{first}", "out of range"),
        ("reasoning", "\\boxed{1}", "out of range"),
        ("reasoning", "\\boxed{111111}", "out of range"),
        ("reasoning", "\\boxed{11111111}", "out of range"),
        ("reasoning", "\\boxed{1111112}", "out of range"),
        ("reasoning", "\\boxed{1111111} \\boxed{1111110}", "two different verdicts"),
    ],
)
def test_a_box_that_breaks_the_contract(task: Task, reply: str, says: str) -> None:
    assert reason(task, "boxed", reply) == says


@pytest.mark.parametrize(
    "unit",
    ["<think>", "</think>", "\\boxed{", "\\boxed{1}", "{", "[", '{"', "```", "\\", "<", " ", "1, ", "think>"],
)
def test_megabytes_are_refused(unit: str) -> None:
    """In seconds: anything quadratic would take hours."""
    for task in TASKS:
        for length in (20_000, 999_999, 5_000_000):
            reply = unit * (length // len(unit))
            assert reason(task, "json", reply)
            assert reason(task, "boxed", reply)


@pytest.mark.parametrize("task", TASKS)
def test_the_schema_allows_what_the_parser_takes(task: Task) -> None:
    assert Contract(task, "boxed").json_schema is None
    text = Contract(task, "json").json_schema
    assert text is not None
    assert text == json.dumps(json.loads(text), separators=(",", ":"))
    schema = json.loads(text)
    assert schema["additionalProperties"] is False
    assert schema["required"] == list(schema["properties"])
    values = {name: allowed.get("enum", [False, True]) for name, allowed in schema["properties"].items()}
    scores = {
        Contract(task, "json").parse(json.dumps(dict(zip(values, chosen, strict=True)))).score
        for chosen in product(*values.values())
    }
    assert scores == {"free_text": {*GRADES}, "pairwise": {0.0, 0.5, 1.0}}.get(task, {0.0, 1.0})


@pytest.mark.parametrize(("task", "as_json", "as_box", "ruling"), GOOD)
def test_a_well_formed_reply_has_room(task: Task, as_json: str, as_box: str, ruling: Ruling) -> None:
    """Even at two characters a token, and pretty-printed."""
    pretty = json.dumps(json.loads(as_json), indent=2)
    assert len(pretty) / 2 <= Contract(task, "json").max_tokens
    assert len(as_box) <= Contract(task, "boxed").max_tokens

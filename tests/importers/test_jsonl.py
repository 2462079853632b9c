"""Outputs in any JSON or JSON lines file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.commands.import_ import main as import_command
from evalkit.schema import UserError
from tests.importers.test_import_command import scored


def converted(tmp_path: Path, file: Path, *settings: str) -> list[dict[str, object]]:
    out = tmp_path / "out.jsonl"
    assert import_command(["jsonl", str(file), str(out), *settings]) == 0
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def test_a_published_list_of_outputs_to_scores(tmp_path: Path) -> None:
    records = [
        {"question_id": "sample-0", "output": "So it is $243,633.", "reasoning_content": "Is it 5?", "x": {}},
        {"question_id": "sample-1", "output": "35,000", "reasoning_content": None},
        {"question_id": "sample-2", "output": None},
        {"question_id": "sample-7", "output": "Therefore, the answer is true."},
    ]
    file = tmp_path / "inference.json"
    file.write_text(json.dumps(records))
    lines = converted(tmp_path, file, "benchmark=finance_reasoning")
    assert [line["id"] for line in lines] == ["sample-0", "sample-1", "sample-7"]
    assert lines[0]["text"] == "<think>Is it 5?</think>So it is $243,633."
    found = scored(tmp_path / "out.jsonl", "finance_reasoning", tmp_path / "run", rule="financereasoning")
    assert {name[0]: right for name, (right, _) in found.items()} == {
        "sample-0": True,
        "sample-1": False,
        "sample-7": True,
    }


def test_fields_of_any_name_and_repeats(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(
        '{"no": 7, "round": 1, "said": {"it": "a"}}\n'
        '{"no": 7, "round": 1, "said": {"it": "b"}, "finish_reason": "length"}\n'
    )
    lines = converted(tmp_path, file, "id=no", "turn=round", "text=said.it")
    assert lines == [
        {"id": "7", "turn": 1, "sample": 0, "text": "a"},
        {"id": "7", "turn": 1, "sample": 1, "text": "b", "finish_reason": "length"},
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "id,text\n", "give a .jsonl file"),
        ("a.jsonl", '{"text": "x"}\n', "field id: expected an id"),
        (
            "a.jsonl",
            '{"id": "1", "words": "x"}\n',
            "field text: expected the output's text (text=FIELD names",
        ),
        ("a.jsonl", '{"id": "1", "text": ["x"]}\n', "field text: expected the output's text"),
        ("a.json", '{"id": "1", "text": "x"}', "expected a JSON list of records"),
    ],
)
def test_other_files_are_one_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as error:
        import_command(["jsonl", str(tmp_path / name), str(tmp_path / "out.jsonl")])
    assert message in str(error.value)
    assert not (tmp_path / "out.jsonl").exists()

"""Sample logs that lm_eval wrote."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.importers import Settings
from evalkit.schema import UserError
from tests.importers.helpers import LM_EVAL, LOGS, imported, refusal


def log(name: str) -> Path:
    return LOGS / LM_EVAL.format(name)


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log(name).read_text(encoding="utf-8").splitlines()]


def write(path: Path, records: list[Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_repeats_are_samples_and_filters_are_ignored(tmp_path: Path) -> None:
    assert {line["filter"] for line in lines("finqa")} == {"strict", "flexible"}
    found, summary = imported("lm_eval", log("finqa"), tmp_path / "out.jsonl", Settings(benchmark="finqa"))
    raw = {line["doc"]["id"]: line["resps"][0] for line in lines("finqa")}
    expected = [
        {"benchmark": "finqa", "id": id_, "sample": sample, "text": text}
        for id_, texts in raw.items()
        for sample, text in enumerate(texts)
    ]
    assert len(expected) == 6
    assert found == expected
    assert (summary.written, summary.left_out.total()) == (6, 0)


def test_turn_level_ids_of_convfinqa(tmp_path: Path) -> None:
    found, _ = imported("lm-eval", log("convfinqa"), tmp_path / "out.jsonl")
    assert [(line["id"], line["turn"]) for line in found] == [
        ("Single_PLV/2017/page_33.pdf-3", 0),
        ("Single_PLV/2017/page_33.pdf-3", 3),
    ]


def test_fields_can_be_chosen(tmp_path: Path) -> None:
    settings = Settings(id="doc.question", turn="doc_id")
    found, _ = imported("lm_eval", log("convfinqa"), tmp_path / "out.jsonl", settings)
    assert [(line["id"], line["turn"]) for line in found] == [("q0", 0), ("q3", 1)]


def test_documents_without_id_are_named_by_content(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 1: field doc\.id: .*id=doc\.FIELD"):
        imported("lm_eval", log("tfns"), tmp_path / "out.jsonl")
    found, _ = imported("lm_eval", log("tfns"), tmp_path / "out.jsonl", Settings(benchmark="tfns"))
    assert len({line["id"] for line in found}) == 2


def test_loglikelihoods_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 1: field resps: log-likelihoods"):
        imported("lm_eval", log("choice"), tmp_path / "out.jsonl")


def test_missing_responses_are_counted(tmp_path: Path) -> None:
    records = [line for line in lines("finqa") if line["filter"] == "strict"]
    records[0]["resps"] = [[None, "48.6"]]
    found, summary = imported("lm_eval", write(tmp_path / "a.jsonl", records), tmp_path / "out.jsonl")
    assert (summary.written, dict(summary.left_out)) == (5, {"without a response": 1})
    assert (found[0]["sample"], found[0]["text"]) == (1, "48.6")


def test_other_texts_under_another_filter_are_not_dropped(tmp_path: Path) -> None:
    records = lines("finqa")
    records[-1]["resps"] = [["something else", "again"]]
    with pytest.raises(UserError, match="line 6: a second output for"):
        imported("lm_eval", write(tmp_path / "a.jsonl", records), tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_half_surrogates_are_replaced(tmp_path: Path) -> None:
    records = lines("convfinqa")
    records[0]["resps"] = [["\ud800 1 \U0001f600"]]
    found, _ = imported("lm_eval", write(tmp_path / "a.jsonl", records), tmp_path / "out.jsonl")
    assert found[0]["text"] == "\ufffd 1 \U0001f600"


JUNK: list[Any] = [None, True, -1, 10**400, 1.5, "", "\ud800", [], [[]], [[[]]], [["a", 1]], {}, {"id": {}}]


@pytest.mark.parametrize(
    ("field", "refused"),
    [
        ("doc", 13),
        ("doc.id", 13),
        ("doc.annotation", 0),  # without a turn there: no turn
        ("doc.annotation.turn_ind", 0),
        ("resps", 13),
        ("filter", 0),
    ],
)
def test_hostile_fields(tmp_path: Path, field: str, refused: int) -> None:
    lines_of_refusal = []
    for number, junk in enumerate(JUNK):
        record = copy.deepcopy(lines("convfinqa")[0])
        *path, last = field.split(".")
        inner = record
        for part in path:
            inner = inner[part]
        inner[last] = junk
        log_ = write(tmp_path / f"{number}.jsonl", [record])
        lines_of_refusal.append(refusal("lm_eval", log_, tmp_path / f"out{number}.jsonl"))
    assert sum(line is not None for line in lines_of_refusal) == refused


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"[" * 100_000, b"{}", b"[]", b'{"doc": 1}', b"\xff", b"PK\3\4"]
)
def test_hostile_files(tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "a.jsonl"
    source.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.jsonl"):
        imported("lm_eval", source, tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]

"""Logs that inspect_ai wrote."""

from __future__ import annotations

import copy
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from evalkit.importers import Settings
from evalkit.importers import inspect_ai as archive
from evalkit.schema import UserError
from tests.importers.helpers import INSPECT, LOGS, imported, refusal, zip_of

EVAL, JSON = (LOGS / INSPECT.format(f"finqa.{ending}") for ending in ("eval", "json"))


def by_name(lines: list[dict[str, Any]]) -> dict[tuple[str, int], tuple[str, str]]:
    return {(line["id"], line["sample"]): (line["text"], line["finish_reason"]) for line in lines}


def log_of(samples: list[Any], path: Path) -> Path:
    path.write_text(json.dumps({"version": 2, "samples": samples}), encoding="utf-8")
    return path


def samples() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(JSON.read_text(encoding="utf-8"))["samples"]
    return [sample for sample in found if sample.get("error") is None]


@pytest.mark.parametrize("log", [EVAL, JSON], ids=["eval", "json"])
def test_outputs_of_a_real_log(tmp_path: Path, log: Path) -> None:
    lines, summary = imported("inspect_ai", log, tmp_path / "out.jsonl")
    outputs = {
        "HBQ/2018/page_41.pdf-1": ("<think>(1142.6 - 1063.4) / 1063.4</think>\n\\boxed{7.44\\%}", "stop"),
        "HBQ/2018/page_41.pdf-2": ("net sales fell by $48.6 million", "stop"),
        "NLW/2019/page_77.pdf-4": ("<think>let me see: the principal due in", "length"),
    }
    assert by_name(lines) == {(id_, epoch): output for id_, output in outputs.items() for epoch in (0, 1)}
    assert (summary.written, dict(summary.left_out)) == (6, {"ended in an error": 2})


def test_the_real_eval_log_is_zstandard() -> None:
    with zipfile.ZipFile(EVAL) as log:
        assert {info.compress_type for info in log.infolist()} == {93}


def test_older_logs_are_deflate(tmp_path: Path) -> None:
    log = tmp_path / "log.eval"
    with zipfile.ZipFile(log, "w", zipfile.ZIP_DEFLATED) as old:
        old.writestr("_journal/start.json", "{}")
        for number, sample in enumerate(samples()):
            old.writestr(f"samples/{number}.json", json.dumps(sample))
    lines, _ = imported("inspect_ai", log, tmp_path / "out.jsonl")
    expected, _ = imported("inspect_ai", EVAL, tmp_path / "expected.jsonl")
    assert by_name(lines) == by_name(expected)


def test_fields_can_be_chosen(tmp_path: Path) -> None:
    log = LOGS / INSPECT.format("conv.eval")
    lines, _ = imported("inspect_ai", log, tmp_path / "out.jsonl", Settings(id="metadata.id"))
    dialogue = "Single_PLV/2017/page_33.pdf-3"
    assert [(line["id"], line["turn"]) for line in lines] == [(dialogue, 0), (dialogue, 3)]
    with pytest.raises(UserError, match=r"field metadata\.no: expected a turn .*got nothing"):
        imported("inspect_ai", log, tmp_path / "other.jsonl", Settings(turn="metadata.no"))


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ({"choices": []}, "without a completion"),
        ({"choices": [{"message": {"content": ""}}], "error": "flagged"}, "refused by the provider"),
    ],
)
def test_samples_without_an_output_are_counted(tmp_path: Path, output: object, why: str) -> None:
    changed = samples()
    changed[0]["output"] = output
    _, summary = imported("inspect_ai", log_of(changed, tmp_path / "a.json"), tmp_path / "out.jsonl")
    assert (summary.written, dict(summary.left_out)) == (5, {why: 1})


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        ({"reasoning": "blob", "redacted": True, "summary": "short"}, "<think>short</think>\n7"),
        ({"reasoning": "blob", "redacted": True, "summary": None}, "<think></think>\n7"),
    ],
)
def test_hidden_reasoning_is_its_summary(tmp_path: Path, reasoning: dict[str, Any], expected: str) -> None:
    changed = samples()[:1]
    content = [
        {"type": "reasoning", **reasoning},
        {"type": "image", "image": "x"},
        {"type": "text", "text": "7"},
    ]
    changed[0]["output"]["choices"][0]["message"]["content"] = content
    lines, _ = imported("inspect_ai", log_of(changed, tmp_path / "a.json"), tmp_path / "out.jsonl")
    assert lines[0]["text"] == expected


JUNK: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    "",
    "\ud800",
    [],
    [1],
    [{}],
    [{"type": "text"}],
    {},
    {"message": 1},
]


@pytest.mark.parametrize(
    ("field", "refused"),
    [
        ("id", 12),  # 0 is an id
        ("epoch", 13),
        ("output", 13),
        ("output.choices", 13),
        ("output.choices.0", 13),
        ("output.choices.0.message.content", 9),  # texts, and lists without a text, are answers
    ],
)
def test_hostile_fields(tmp_path: Path, field: str, refused: int) -> None:
    lines_of_refusal = []
    for number, junk in enumerate(JUNK):
        sample = copy.deepcopy(samples()[0])
        *path, last = (int(part) if part == "0" else part for part in field.split("."))
        inner: Any = sample
        for part in path:
            inner = inner[part]
        inner[last] = junk
        log = log_of([sample], tmp_path / f"{number}.json")
        lines_of_refusal.append(refusal("inspect_ai", log, tmp_path / f"out{number}.jsonl"))
    assert sum(line is not None for line in lines_of_refusal) == refused


def test_every_damage_is_one_line(tmp_path: Path) -> None:
    whole = EVAL.read_bytes()
    log = tmp_path / "a.eval"
    cut = [whole[:size] for size in range(0, len(whole), 97)]
    flipped = [whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :] for at in range(0, len(whole), 29)]
    lines = []
    for number, content in enumerate([*cut, *flipped]):
        log.write_bytes(content)
        lines.append(refusal("inspect_ai", log, tmp_path / f"{number}.jsonl"))
    assert all(line is not None for line in lines[: len(cut)])
    assert all(line is None or str(log) in line for line in lines)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zip_of(["samples/a.json"], b" " * (65 * 2**20)), "member samples/a.json: larger than 64 MiB"),
        (zip_of(["samples/a.json"], b" " * (2 * 2**20), size=10), "member samples/a.json: .*damaged"),
        (zip_of(["samples/a.json"], b"[" + b"[]," * 2**23 + b"0]"), "member samples/a.json: more than"),
        (zip_of(["samples/a.json"], b"{}", method=12), "compression method 12"),
        (zip_of(["samples/a.json"], b"[1]"), "member samples/a.json: sample 1: expected an object"),
        (zip_of(["samples/a\n\x1b.json"], b"{"), r"member samples/a\\n\\x1b.json: not JSON"),
        (zip_of(["header.json"], b"{}"), "no output in"),
    ],
    ids=["bomb", "lie", "lists", "bzip2", "list", "name", "empty"],
)
def test_hostile_archives(tmp_path: Path, content: bytes, message: str) -> None:
    log = tmp_path / "a.eval"
    log.write_bytes(content)
    with pytest.raises(UserError, match=message):
        imported("inspect_ai", log, tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["a.eval"]


def test_overlapping_members_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 2**20)
    log = tmp_path / "a.eval"
    log.write_bytes(zip_of([f"samples/{number}.json" for number in range(1000)], b" " * 2**18))
    assert 2**20 + archive.MAX_TOTAL_RATIO * log.stat().st_size < 1000 * 2**18
    with pytest.raises(UserError, match="zip bomb"):
        list(archive.members(log, lambda name: True))


def test_a_directory_of_any_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive._DirectoryBounded, "limit", 2**10)
    log = tmp_path / "a.eval"
    log.write_bytes(zip_of([f"samples/{number}.json" for number in range(100)], b"{}"))
    with pytest.raises(UserError, match="a directory of more than"):
        list(archive.members(log, lambda name: True))

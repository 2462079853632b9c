"""The overlay of label defects: its file, its errors, its section."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.report.label_defects import Defect, known_defects, label_defects_section, read_defects
from evalkit.schema import UserError

from .helpers import as_json, make, score

HEADER = "benchmark,id,turn,kind,reason,source\n"


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "defects.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_reads_what_a_spreadsheet_saves(tmp_path: Path) -> None:
    text = (
        HEADER
        + 'convfinqa,Double_A,2,wrong,"swapped, see page",me\r\n,,,,,\r\nfinqa,B,,ambiguous,两种读法,me\r\n'
    )
    assert read_defects(write(tmp_path, text, "utf-8-sig")) == [
        Defect("convfinqa", "Double_A", 2, "wrong", "swapped, see page", "me"),
        Defect("finqa", "B", None, "ambiguous", "两种读法", "me"),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column benchmark, id"),
        ("benchmark,id,kind,reason,source\n", "no column turn"),
        (HEADER + "finqa,A,,wrong\n", "line 2: 4 cells under 6 columns"),
        (HEADER + "finqa,A,,wrong,,me\n", "line 2: reason is empty"),
        (HEADER + "finqua,A,,wrong,r,me\n", "Did you mean finqa?"),
        (HEADER + "finqa,A,,bad,r,me\n", "write wrong or ambiguous"),
        (HEADER + "finqa,A,-1,wrong,r,me\n", "turn '-1'"),
        (HEADER + "finqa,A,²,wrong,r,me\n", "turn '²'"),
        (HEADER + "finqa,A,,wrong,r,me\nfinqa,A,,wrong,r,me\n", "line 3: A is listed twice"),
        (HEADER + 'finqa,"A,,wrong,r,me\n', "not CSV"),
        (HEADER + "finqa," + "A" * 200_000 + ",,wrong,r,me\n", "not CSV"),
    ],
)
def test_wrong_files_say_what_to_do(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        read_defects(write(tmp_path, text))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read_defects(tmp_path / "absent.csv")
    with pytest.raises(UserError, match="cannot read"):
        read_defects(tmp_path)
    with pytest.raises(UserError, match="not UTF-8"):
        read_defects(write(tmp_path, HEADER + "金", "gbk"))
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(40 * 2**20)
    with pytest.raises(UserError, match="larger than 32 MiB"):
        read_defects(tmp_path / "huge.csv")


def test_shipped_ones_are_sound_and_a_users_file_adds_to_them(tmp_path: Path) -> None:
    shipped = known_defects()
    assert {defect.benchmark for defect in shipped} == {"finqa", "convfinqa"}
    assert all(defect.reason and defect.source for defect in shipped)
    assert all((defect.turn is None) == (defect.benchmark == "finqa") for defect in shipped)
    own = write(tmp_path, HEADER + f"finqa,new,,wrong,r,me\nfinqa,{shipped[-1].id},,ambiguous,mine,me\n")
    both = known_defects(own)
    assert len(both) == len(shipped) + 1
    assert both[-1].id == "new"
    assert next(d for d in both if d.key == shipped[-1].key).reason == "mine"


def test_section_counts_scored_examples_only() -> None:
    scores = [score("a", 0), score("b", 1), score("c", 1), score("d", None, error="engine_error: x")]
    defects = [Defect("finqa", id_, None, "wrong", "</td>| `", "me") for id_ in "ad"]
    defects.append(Defect("finqa", "b", 0, "wrong", "another item", "me"))
    found = label_defects_section(make(scores), defects)
    assert found is not None
    data = as_json(found)["finqa"]
    assert (data["all"]["n"], data["clean"]["n"], data["listed"]["n"], data["wrong"]) == (3, 2, 1, 1)
    assert data["clean"]["accuracy"] == 1.0
    assert label_defects_section(make(scores), []) is None

"""What is written and what is removed: never anything that is not ours."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from evalkit.board.build import MANIFEST, Stale, manifest_of, stale_files, update
from evalkit.schema import UserError


def with_manifest(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {**files, MANIFEST: manifest_of(files)}


def bring(results: Path, files: Mapping[str, bytes]) -> list[Stale]:
    stale = stale_files(results, files)
    update(results, files, stale)
    return stale


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


OLD = with_manifest(
    {"leaderboard.md": b"1", "curves/a/x.png": b"x", "curves/b/y.png": b"y", "site/i.html": b"i"}
)
NEW = with_manifest({"leaderboard.md": b"2", "curves/a/x.png": b"x", "site/i.html": b"i"})


def test_only_what_changed_is_written_and_what_is_no_longer_made_goes(tmp_path: Path) -> None:
    assert {each.why for each in bring(tmp_path, OLD)} == {"missing"}
    before = (tmp_path / "curves/a/x.png").stat().st_mtime_ns
    stale = bring(tmp_path, NEW)
    assert [(each.file, each.why) for each in stale] == [
        ("leaderboard.md", "changed"),
        (MANIFEST, "changed"),
        ("curves/b/y.png", "no longer made"),
    ]
    assert tree(tmp_path) == NEW
    assert not (tmp_path / "curves/b").exists()
    assert (tmp_path / "curves/a/x.png").stat().st_mtime_ns == before
    assert stale_files(tmp_path, NEW) == []


def test_files_of_others_stay(tmp_path: Path) -> None:
    bring(tmp_path, OLD)
    others = {"curves/b/mine.txt": b"m", "site/notes.html": b"n", "records/r.jsonl.gz": b"r", "keep.md": b"k"}
    for name, content in others.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    bring(tmp_path, NEW)
    assert tree(tmp_path) == NEW | others


def test_a_file_that_was_edited_since_it_was_made_stays(tmp_path: Path) -> None:
    bring(tmp_path, OLD)
    (tmp_path / "curves/b/y.png").write_bytes(b"edited")
    bring(tmp_path, NEW)
    assert (tmp_path / "curves/b/y.png").read_bytes() == b"edited"


@pytest.mark.parametrize(
    "name",
    [
        "../victim",
        "site/../../victim",
        "site/../victim",
        "curves/..",
        "victim",
        "records/victim",
        "{outside}",
        "site/link/victim",
        "site/linked-file",
        "site\\victim",
        "site",
    ],
)
def test_a_manifest_cannot_have_anything_else_removed(tmp_path: Path, name: str) -> None:
    results, outside = tmp_path / "results", tmp_path / "outside"
    outside.mkdir()
    bring(results, OLD)
    (results / "records").mkdir()
    victims = [tmp_path / "victim", outside / "victim", results / "victim", results / "records/victim"]
    for path in victims:
        path.write_bytes(b"v")
    (results / "site/link").symlink_to(outside)
    (results / "site/linked-file").symlink_to(outside / "victim")
    listed = name.format(outside=outside / "victim")
    (results / MANIFEST).write_text(f"{sha256(b'v').hexdigest()}  {listed}\n", encoding="utf-8")
    bring(results, NEW)
    assert [path for path in victims if not path.exists()] == []
    assert (results / "site/linked-file").is_symlink()


def test_nothing_is_removed_through_a_linked_folder(tmp_path: Path) -> None:
    results, outside = tmp_path / "results", tmp_path / "outside"
    (outside / "b").mkdir(parents=True)
    (outside / "b/y.png").write_bytes(b"y")
    (results / "site").mkdir(parents=True)
    (results / MANIFEST).write_bytes(OLD[MANIFEST])
    (results / "curves").symlink_to(outside)
    bring(results, NEW)
    assert (outside / "b/y.png").exists()


@pytest.mark.parametrize("content", [b"\xff\xfe", b"no manifest\n", b"", b"0" * 64 + b"  \n"])
def test_a_broken_manifest_removes_nothing(tmp_path: Path, content: bytes) -> None:
    bring(tmp_path, OLD)
    (tmp_path / MANIFEST).write_bytes(content)
    bring(tmp_path, NEW)
    assert tree(tmp_path) == NEW | {"curves/b/y.png": b"y"}


def test_what_cannot_be_written_or_read_is_one_line(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    (one / "curves").write_text("a file where a folder must be")
    with pytest.raises(UserError, match=r"curves/a/x\.png cannot be brought up to date"):
        bring(one, OLD)
    (other / "leaderboard.md").mkdir(parents=True)
    with pytest.raises(UserError, match=r"leaderboard\.md cannot be read"):
        bring(other, OLD)

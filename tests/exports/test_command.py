"""`evalkit export`: its formats, what it refuses, and that the same record gives the same bytes."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.commands.export import HELP, main
from evalkit.export import formats
from evalkit.run.info import Run
from evalkit.run.record import RECORD_FILE, to_bytes
from evalkit.schema import UserError
from tests.leaderboard.made import unchecked, with_answers, with_head

FORMATS = ["eval_results", "every_eval_ever", "latex", "lm_eval", "markdown", "model_card", "parquet"]
ALL = """
import sys
from evalkit.commands.export import main
run, out, *formats = sys.argv[1:]
for name in formats:
    main([name, run, f"{out}/{name}"])
"""


def _bytes(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_formats_are_the_modules_and_help_tells_them() -> None:
    assert formats() == FORMATS
    for name in FORMATS:
        (line,) = [line for line in HELP.splitlines() if line.startswith(f"  {name} ") and ": " in line]
        assert len(line) <= 110


@pytest.mark.parametrize("format_", FORMATS)
def test_it_writes_what_it_prints(
    format_: str, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([format_, str(run_dir), str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert sorted(printed) == sorted(str(out / name) for name in _bytes(out))
    assert printed


def test_same_record_same_bytes_anywhere(run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "elsewhere")
    made = []
    for number, (zone, locale, seed) in enumerate((("Asia/Kolkata", "C", "1"), ("UTC", "de_DE.UTF-8", "2"))):
        out = tmp_path / f"out{number}"
        source = (run_dir, tmp_path / "elsewhere")[number]
        environment = {**os.environ, "TZ": zone, "LC_ALL": locale, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", ALL, str(source), str(out), *FORMATS]
        subprocess.run(command, check=True, env=environment, cwd=source, capture_output=True)
        made.append(_bytes(out))
    assert made[0] == made[1]
    assert len(made[0]) == 1 + 4 * 2 + 1 + (1 + 5) + 1 + 1 + 1


def test_several_runs_are_one_table_and_a_file_set_each(run: Run, run_dir: Path, tmp_path: Path) -> None:
    other = with_head(run, model={**run.info.raw["model"], "name": "b"})
    (tmp_path / "b.jsonl.gz").write_bytes(to_bytes(other))
    runs = [str(run_dir), str(tmp_path / "b.jsonl.gz")]
    for format_, expected in (("markdown", 1), ("parquet", 2), ("lm_eval", 2 * (1 + 5))):
        out = tmp_path / format_
        main([format_, *runs, str(out)])
        assert len(_bytes(out)) == expected
    assert "Model" in (tmp_path / "markdown" / "results.md").read_text().splitlines()[0]


def _refusal(arguments: list[str]) -> str:
    with pytest.raises(UserError) as refusal:
        main(arguments)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_wrong_requests_are_one_line(run: Run, run_dir: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert "Did you mean latex" in _refusal(["latx", str(run_dir), out])
    assert "give the format" in _refusal(["latex", str(run_dir)])
    (tmp_path / "empty").mkdir()
    assert "evalkit score" in _refusal(["latex", str(tmp_path / "empty"), out])
    assert "is not a run folder, a record" in _refusal(["latex", str(tmp_path / "none.jsonl.gz"), out])
    assert "give each run once" in _refusal(["latex", str(run_dir), str(run_dir / RECORD_FILE), out])
    assert "is a run or a file" in _refusal(["latex", str(run_dir), str(run_dir)])
    assert "is a run or a file" in _refusal(["latex", str(run_dir), str(run_dir / RECORD_FILE)])
    assert not (tmp_path / "out").exists()
    (tmp_path / "clash.jsonl.gz").write_bytes(to_bytes(with_head(run, run_id="other")))
    assert "different folders" in _refusal(["lm_eval", str(run_dir), str(tmp_path / "clash.jsonl.gz"), out])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b'"name":"tiny-q4_0"', b'"name":null', "model.name"),
        (b'"score":1.0', b'"score":1e99', "a score of 1e+99"),
        (b'"ended":"', b'"ended":"not a time', "does not say when"),
        (b'"facets":{"label":"', b'"facets":{"x":NaN,"label":"', "NaN"),
        (b'"benchmark":"tfns","id"', b'"benchmark":"else","id"', "no benchmark"),
    ],
)
def test_a_foreign_record_is_refused_in_one_line(
    run: Run, tmp_path: Path, old: bytes, new: bytes, says: str
) -> None:
    content = gzip.decompress(to_bytes(run))
    assert old in content
    file = tmp_path / "foreign.jsonl.gz"
    file.write_bytes(gzip.compress(content.replace(old, new)))
    assert says in _refusal(["lm_eval", str(file), str(tmp_path / "out")])


def test_numbers_beyond_all_measure_are_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "large.jsonl.gz"
    file.write_bytes(to_bytes(with_answers(run, prompt_tokens=10**30)))
    assert "does not fit its columns" in _refusal(["parquet", str(file), str(tmp_path / "out")])
    assert main(["lm_eval", str(file), str(tmp_path / "out")]) == 0
    hot = {**run.info.raw["sampling"], "temperature": 10**400}
    file.write_bytes(to_bytes(unchecked(run, sampling=hot)))
    assert "sampling.temperature" in _refusal(["lm_eval", str(file), str(tmp_path / "out")])

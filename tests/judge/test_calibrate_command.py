"""`evalkit judge calibrate` and `pairwise` on run folders, against scripted judges and wrong requests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from evalkit.__main__ import main
from evalkit.commands import judge
from evalkit.report.run import write_reports
from evalkit.run.judgements import CALIBRATION
from evalkit.run.record import RECORD_FILE, load_run
from evalkit.run.runner import finished_run
from evalkit.run.scoring import scored_by
from evalkit.schema import UserError
from tests.backends.scripted_server import Reply, Request, ScriptedServer
from tests.compare.helpers import examples, run

from .judges import QUICK, Handler, always, answer_of, fields, perfect, says
from .runs import WRONG, answers_of, finqa_run, free_text_run

DATA = Path(os.environ.get("EVALKIT_DATA_DIR") or "missing")
GOOD = "The reference says so, with reasons."


def call(command: str, server: ScriptedServer, *arguments: object) -> int:
    given = [str(argument) for argument in arguments]
    return judge.main([command, *given, "judge=endpoint", f"judge.base_url={server.url}", QUICK])


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def written(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on FinQA's sample with every third answer wrong."""
    return finqa_run(tmp_path_factory.mktemp("numbers") / "model")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on Finance-Instruct's sample."""
    return free_text_run(tmp_path_factory.mktemp("texts") / "a", GOOD)


def calibrated(run_dir: Path, handler: Handler) -> tuple[int, dict[str, Any]]:
    """Exit code and calibration.json."""
    with ScriptedServer(handler) as server:
        code = call("calibrate", server, run_dir)
    return code, read(run_dir / "calibration.json")


def test_a_perfect_judge_agrees_with_the_rule(numbers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = calibrated(numbers, perfect(examples("benchmark=finqa")))
    assert code == 0
    cell = found["benchmarks"]["finqa"]["rule"]
    assert cell["table"]["wrong_judged_right"] == cell["table"]["right_judged_wrong"] == 0
    assert cell["table"]["wrong_judged_wrong"] == 6  # every third of 16
    assert cell["kappa"]["value"] == 1
    assert cell["fit"] is True
    assert found["benchmarks"]["finqa"]["flips"]["order"]["count"] == 0
    assert "agrees almost perfectly with the labels: κ 1.00" in capsys.readouterr().out
    assert "κ 1.00" in (numbers / "calibration.md").read_text(encoding="utf-8")


def test_calibration_and_pairwise_as_json(
    numbers: Path, texts: Path, short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedServer(perfect(examples("benchmark=finqa"))) as server:
        capsys.readouterr()
        assert call("calibrate", server, numbers, "n=3", "json=true") == 0
    [found] = json.loads(capsys.readouterr().out)["runs"]
    assert found.pop("run") == str(numbers)
    assert found == read(numbers / "calibration.json")
    with ScriptedServer(longer_wins) as server:
        assert call("pairwise", server, texts, short, "n=2", f"out={tmp_path}", "json=true") == 0
    content = json.loads(capsys.readouterr().out)
    assert content.pop("stopped") is None
    assert content == read(tmp_path / "pairwise.json")


def test_one_that_always_says_right_is_not_fit(numbers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = calibrated(numbers, always(True))
    cell = found["benchmarks"]["finqa"]["rule"]
    assert (code, cell["fit"], cell["kappa"], cell["corrected"]["value"]) == (0, False, None, None)
    assert cell["sensitivity"]["value"] == 1
    assert cell["specificity"]["value"] == 0
    assert "it is not fit to judge" in capsys.readouterr().out


def test_broken_replies_are_errors_and_no_verdicts(numbers: Path) -> None:
    def malformed(request: Request) -> Reply:
        return Reply('{"verdict": ') if WRONG[7:-1] in answer_of(request) else says(request, True)

    code, found = calibrated(numbers, malformed)
    cell = found["benchmarks"]["finqa"]["rule"]
    assert code == 1
    assert cell["errors"] == {"broken_reply": 6}
    assert cell["n"] == 10


def test_a_judge_of_one_language_flips_in_the_other(numbers: Path) -> None:
    def english_only(request: Request) -> Reply:
        return says(request, "You check whether" in request.text)

    _, found = calibrated(numbers, english_only)
    flips = found["benchmarks"]["finqa"]["flips"]
    assert (flips["order"]["count"], flips["language"]["count"], flips["language"]["n"]) == (0, 16, 16)


def test_raw_and_corrected_stand_in_the_runs_table_and_record(numbers: Path) -> None:
    finished = finished_run(numbers)
    write_reports(finished, "pot")
    _, found = calibrated(numbers, perfect(examples("benchmark=finqa")))
    raw = found["benchmarks"]["finqa"]["rule"]["raw"]["value"]
    table = (numbers / "table.md").read_text(encoding="utf-8")
    said = table.partition("\n\n")[0]
    assert "FinQA: judge `scripted` against the rule's labels: κ 1.00" in said
    assert f"over 7 answers {100 * raw:.1f} [" in said
    assert "not usable corrected" in said  # too few labels for it
    assert said in (numbers / "report.md").read_text(encoding="utf-8")
    assert load_run(numbers / RECORD_FILE).info.raw["calibration"] == found
    assert scored_by(numbers) == ["financial", "pot"]


def test_a_broken_calibration_is_named(tmp_path: Path) -> None:
    run_dir = finqa_run(tmp_path / "model")
    (run_dir / CALIBRATION).write_text('{"judge": ', encoding="utf-8")
    with pytest.raises(UserError, match=r"calibration\.json cannot be read: `evalkit judge calibrate`"):
        write_reports(finished_run(run_dir), "financial")


def test_no_key_is_written_or_printed(
    numbers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calibrated(numbers, always(True))
    out, err = capsys.readouterr()
    files = [path.read_bytes() for at in (numbers, tmp_path) for path in at.rglob("*") if path.is_file()]
    assert not any(b"sk-test-key" in content for content in [*files, out.encode(), err.encode()])


def test_nothing_is_judged_twice(numbers: Path) -> None:
    with ScriptedServer(always(True)) as server:
        call("calibrate", server, numbers)
        sent = len(server.requests)
        call("calibrate", server, numbers)
        assert sent > 0
        assert len(server.requests) == sent


def test_peoples_labels_calibrate_free_text(texts: Path, tmp_path: Path) -> None:
    subjects = answers_of(texts).subjects["finance_instruct"]
    rows = [{"id": s.name[1], "correct": number % 2} for number, s in enumerate(subjects)]
    labels = written(tmp_path / "labels.jsonl", *rows, {"id": "elsewhere", "correct": True})
    with ScriptedServer(always(True)) as server:
        assert call("calibrate", server, texts, f"labels={labels}") == 0
    found = read(texts / "calibration.json")
    cell = found["benchmarks"]["finance_instruct"]["people"]
    assert "rule" not in found["benchmarks"]["finance_instruct"]
    assert cell["n"] == len(subjects)
    assert cell["table"]["wrong_judged_right"] == (len(subjects) + 1) // 2
    assert found["labels_unmatched"] == 1
    assert found["settings"]["labels"][0]["file"] == "labels.jsonl"


@pytest.mark.parametrize(
    ("arguments", "says_"),
    [
        ([], "give a run's folder"),
        (["nowhere"], "not a run folder"),
        (["{run}", "n=none"], "whole number"),
        (["{run}", "n=0"], "whole number"),
        (["{run}", "benchmark=tfns"], "no benchmark 'tfns'"),
        (["{run}", "label=x"], "Did you mean labels"),
        (["{run}", "labels=nowhere.jsonl"], "cannot read the labels"),
        (["{run}", "labels={folder}/other.jsonl"], "belongs to an answer"),
        (["{text}"], "label some with"),
    ],
)
def test_a_wrong_request_is_one_line(
    numbers: Path, texts: Path, tmp_path: Path, arguments: list[str], says_: str
) -> None:
    places = {"run": numbers, "text": texts}
    written(tmp_path / "other.jsonl", {"id": "none of these", "correct": True})
    given = [argument.format(folder=tmp_path, **places) for argument in arguments]
    with ScriptedServer(always(True)) as server:
        with pytest.raises(UserError, match=says_) as caught:
            call("calibrate", server, *given)
        assert not server.requests
    assert "\n" not in str(caught.value)


def test_without_a_judge_it_says_how_to_name_one(numbers: Path, texts: Path) -> None:
    for command in (["calibrate", str(numbers)], ["pairwise", str(numbers), str(texts)]):
        with pytest.raises(UserError, match="no judge given"):
            judge.main(command)


def longer_wins(request: Request) -> Reply:
    shown = fields(request)
    better = "first" if len(shown["First answer"]) > len(shown["Second answer"]) else "second"
    return Reply(json.dumps({"better": better}), usage=(100, 5))


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the same with short answers."""
    return free_text_run(tmp_path_factory.mktemp("short") / "b", "Short.")


def test_pairwise_counts_both_orders(texts: Path, short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(longer_wins) as server:
        assert call("pairwise", server, texts, short) == 0
        n = len(server.requests) // 2
    found = read(texts / "pairwise.json")["benchmarks"]["finance_instruct"]
    assert (found["pairs"], found["win"], found["inconsistent"], found["error"]) == (n, n, 0, 0)
    assert found["first_rate"]["value"] == 0.5
    assert "a is preferred" in capsys.readouterr().out


def test_pairwise_of_a_judge_that_takes_the_first(
    texts: Path, short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Reply(json.dumps({"better": "first"}), usage=(100, 5))
    with ScriptedServer(lambda _request: first) as server:
        assert call("pairwise", server, short, texts, "n=5", f"out={tmp_path / 'out'}") == 0
    found = read(tmp_path / "out" / "pairwise.json")["benchmarks"]["finance_instruct"]
    assert (found["pairs"], found["inconsistent"], found["rate"]["value"]) == (5, 5, 0.5)
    assert found["first_rate"]["value"] == 1
    assert "b and a cannot be told apart" in capsys.readouterr().out
    assert not (short / "pairwise.json").exists()


def test_pairwise_refuses_what_cannot_be_compared(numbers: Path, texts: Path, tmp_path: Path) -> None:
    other = run(tmp_path / "c", {}, "benchmark=finance_instruct", "protocol.temperature=0.5")
    with ScriptedServer(longer_wins) as server:
        for arguments, why in (
            ([texts], "two run folders"),
            ([texts, texts], "given twice"),
            ([texts, numbers], "no free-text answers"),
            ([texts, other], "protocol.temperature"),
            ([texts, tmp_path / "nowhere"], "not a run folder"),
        ):
            with pytest.raises(UserError, match=why) as caught:
                call("pairwise", server, *arguments)
            assert "\n" not in str(caught.value)
        assert not server.requests


@pytest.mark.skipif(not DATA.is_dir(), reason="EVALKIT_DATA_DIR is not set")
def test_hand_labels_of_real_outputs_are_found_in_a_replayed_run(tmp_path: Path) -> None:
    rows = (DATA / "model_outputs" / "finqa_test100_fin-r1.jsonl").read_text(encoding="utf-8").splitlines()
    outputs = [{"id": row["id"], "text": row["generation"]} for row in map(json.loads, rows)]
    recorded = written(tmp_path / "outputs.jsonl", *outputs)
    run_dir = tmp_path / "run"
    model = ["+model=replay", f"model.path={recorded}", "benchmark=finqa", f"run_dir={run_dir}"]
    assert main(["run", *model, "data=local", f"data.dir={DATA}"]) == 0
    labels = DATA / "model_outputs" / "labels_finqa_fin-r1.jsonl"
    with ScriptedServer(always(True)) as server:
        assert call("calibrate", server, run_dir, f"labels={labels}", "n=all") == 0
    found = read(run_dir / "calibration.json")
    rule, people = (found["benchmarks"]["finqa"][source] for source in ("rule", "people"))
    # Of 61 outputs three are cut off inside the reasoning, and one label is borderline.
    assert found["unanswered"] == {"finqa": 3}
    assert found["labels_unmatched"] == 3
    assert (people["n"], people["borderline"]) == (57, 1)
    assert rule["n"] == 58
    assert people["sensitivity"]["n"] + people["specificity"]["n"] == 57


def test_labels_of_several_runs_need_keys(texts: Path, short: Path, tmp_path: Path) -> None:
    subjects = answers_of(short).subjects["finance_instruct"]
    rows: list[dict[str, object]] = [{"id": s.name[1], "correct": i % 2} for i, s in enumerate(subjects)]
    labels = written(tmp_path / "labels.jsonl", *rows)
    keyed = [{**row, "key": s.key} for row, s in zip(rows, subjects, strict=True)]
    with_keys = written(tmp_path / "keyed.jsonl", *keyed)
    (short / "calibration.json").unlink(missing_ok=True)
    with ScriptedServer(always(True)) as server:
        with pytest.raises(UserError, match="only labels with a key"):
            call("calibrate", server, short, texts, f"labels={labels}")
        with pytest.raises(UserError, match="none of 9 labels"):
            call("calibrate", server, texts, f"labels={with_keys}")
        assert not server.requests
        assert call("calibrate", server, short, f"labels={with_keys}") == 0
    assert read(short / "calibration.json")["benchmarks"]["finance_instruct"]["people"]["n"] == len(subjects)

"""`evalkit distill` over finished runs: who goes into which set, and what must not be written."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from evalkit.distill.manifest import read_manifest
from evalkit.schema import Example
from tests.backends.scripted_server import Reply, Request, ScriptedServer
from tests.compare.helpers import examples
from tests.distill.helpers import (
    APART,
    MUDDLED,
    distill,
    good_judge,
    manifest,
    rows,
    teacher_run,
    thought,
    unfit_judge,
    wrong,
)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of FinQA's sample, by a judge that is fit."""
    folder = tmp_path_factory.mktemp("judged")
    with pytest.MonkeyPatch.context() as patch, ScriptedServer(good_judge()) as server:
        patch.setattr("evalkit.judge.stage.default_path", lambda: folder / "replies.sqlite")
        patch.setenv("OPENAI_API_KEY", "sk-test")
        code = distill(
            str(teacher_run(folder)), f"out={folder / 'set'}", APART, "validation=0.3", server=server
        )
    assert code == 0
    return folder / "set"


@pytest.fixture(scope="module")
def mixed_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody judged."""
    return teacher_run(tmp_path_factory.mktemp("mixed"))


def test_good_and_good_is_for_tuning_and_all_else_for_reinforcement(judged: Path) -> None:
    asked = examples("benchmark=finqa")
    good = {f"finqa {each.id}" for number, each in enumerate(asked) if number % 4 == 0}
    others = {f"finqa {each.id}" for number, each in enumerate(asked) if number % 4 != 0}
    assert {row["id"] for row in rows(judged, "sft")} == good
    assert {row["extra_info"]["id"] for row in rows(judged, "rl")} == others


def test_every_verdict_is_kept_with_its_reason(judged: Path) -> None:
    by_id = {row["id"]: row for row in rows(judged, "records")}
    asked = [by_id[f"finqa {each.id}"] for each in examples("benchmark=finqa")]
    good, muddled, missed, silent = asked[:4]
    assert good["answer_check"]["by"] == "rule"
    assert good["reasoning_check"]["by"] == "judge"
    assert "all criteria hold" in good["reasoning_check"]["reason"]
    assert muddled["reasoning_check"]["good"] is False
    assert '": false' in muddled["reasoning_check"]["criteria"]
    assert missed["answer_check"]["good"] is False
    assert missed["reasoning_check"]["good"] is None
    assert silent["reasoning_check"] == {
        "good": False,
        "by": "form",
        "reason": "no reasoning",
        "criteria": None,
    }


def test_the_files_hold_what_the_manifest_counts(judged: Path) -> None:
    found = read_manifest(judged)
    for name in ("sft", "sft_without_think", "prompt_completion", "rl", "records"):
        parquet = sum(
            each.rows
            for file, each in found.files.items()
            if file.startswith(f"{name}/") and "parquet" in file
        )
        assert len(rows(judged, name)) == parquet > 0
    counts = found.sources["finqa"].counts
    assert sum(counts.sft_answers.values()) == len(rows(judged, "sft"))
    assert sum(counts.rl.values()) == len(rows(judged, "rl"))
    ways = (counts.exact_duplicates, counts.near_duplicates, counts.free_text, counts.failed)
    left = sum(ways) + sum(counts.evaluation_items.values())
    assert counts.questions == left + sum(counts.sft.values()) + sum(counts.rl.values())
    answered = counts.answer_right + counts.answer_wrong + counts.answer_undecided + counts.no_answer
    assert counts.answers == answered
    assert counts.answer_right == counts.reasoning_good + counts.reasoning_bad + counts.reasoning_undecided
    lines = (judged / "sft" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == found.files["sft/train.jsonl"].rows


def test_the_card_shows_every_source_beside_fin_r1s(judged: Path) -> None:
    text = (judged / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\nlicense: mit\n")
    assert "| FinQA | 2,948 | 16 | 4 (25.0 %) | 12 (75.0 %) |" in text
    assert "| FinCorpus | 29,288 | - | - | - |" in text
    assert all(each.sha256 in text for each in read_manifest(judged).files.values())


def test_the_reward_of_a_row_for_reinforcement_is_the_rules(judged: Path) -> None:
    from evalkit.rewards import accuracy_reward, compute_score

    asked = {f"finqa {each.id}": each for each in examples("benchmark=finqa")}
    for row in rows(judged, "rl"):
        said = thought(asked[row["extra_info"]["id"]])
        assert accuracy_reward([said, "\\boxed{-98765.4}"], [row["gold"]] * 2) == [1.0, 0.0]
        truth = row["reward_model"]["ground_truth"]
        assert compute_score(row["data_source"], said, truth, row["extra_info"]) == 2.0


def test_a_conversation_ends_with_the_reasoning_and_then_the_answer(judged: Path) -> None:
    for with_, without in zip(rows(judged, "sft"), rows(judged, "sft_without_think"), strict=True):
        assert with_["messages"][-1]["role"] == without["messages"][-1]["role"] == "assistant"
        said, answer = with_["messages"][-1]["content"], without["messages"][-1]["content"]
        assert said.startswith("<think>\nFirst this")
        assert said.endswith(f"</think>\n\n{answer}")
        assert "<think>" not in answer
        assert with_["messages"][:-1] == without["messages"][:-1]


def test_nobody_checked_the_reasoning_so_nothing_is_written(
    tmp_path: Path, mixed_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = mixed_run, tmp_path / "set"
    assert distill(str(run), f"out={out}", APART) == 2
    assert "nobody has checked the reasoning of 12 right answers" in capsys.readouterr().err
    assert not out.exists()


def test_without_a_judge_on_purpose_says_so_inside(tmp_path: Path, mixed_run: Path) -> None:
    run, out = mixed_run, tmp_path / "set"
    assert distill(str(run), f"out={out}", APART, "unjudged=true") == 0
    assert manifest(out)["unjudged"] is True
    assert "Nobody has checked the reasoning of FinQA" in (out / "README.md").read_text(encoding="utf-8")
    # What has no reasoning is not good, whoever judges.
    found = rows(out, "sft")
    assert len(found) == 8
    assert {row["reasoning_check"] for row in found} == {"not done"}
    assert any(MUDDLED in row["messages"][-1]["content"] for row in found)


def test_a_judge_that_is_not_fit_is_refused_unless_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = teacher_run(tmp_path), tmp_path / "set"
    with ScriptedServer(unfit_judge()) as server:
        assert distill(str(run), f"out={out}", APART, server=server) == 2
        assert "the judge is not fit" in capsys.readouterr().err
        assert not out.exists()
        assert distill(str(run), f"out={out}", APART, "judge.force=true", server=server) == 0
    assert "its verdicts were forced" in (out / "README.md").read_text(encoding="utf-8")
    assert manifest(out)["sources"]["finqa"]["reasoning"] == "forced"


def test_of_wrong_answers_the_judge_is_not_asked_about_the_reasoning(tmp_path: Path) -> None:
    run = teacher_run(tmp_path, lambda example, _: wrong(example, "A guess."))
    with ScriptedServer(good_judge()) as server:
        assert distill(str(run), f"out={tmp_path / 'set'}", APART, server=server) == 0
        assert not [each for each in server.requests if "A guess" in each.text]
    assert sum(manifest(tmp_path / "set")["sources"]["finqa"]["counts"]["rl"].values()) == 16


def test_no_evaluation_item_is_inside(tmp_path: Path) -> None:
    sources = "benchmark=[finqa,tfns]"
    run = teacher_run(tmp_path, lambda example, _: thought(example), sources)
    assert distill(str(run), f"out={tmp_path / 'set'}", APART, "unjudged=true") == 0
    found = read_manifest(tmp_path / "set")
    tweets = [each for each in examples("benchmark=tfns") if len(each.question.split()) >= 8]
    removed = found.sources["tfns"].counts.evaluation_items
    assert removed["exact"] >= len(tweets) > 0
    everything = b"".join(path.read_bytes() for path in (tmp_path / "set").rglob("*.jsonl"))
    texts = everything.decode() + str([rows(tmp_path / "set", name) for name in ("sft", "records")])
    assert not [each.id for each in tweets if each.question in texts]


def test_a_run_on_the_evaluated_split_leaves_nothing(
    tmp_path: Path, mixed_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = mixed_run
    assert distill(str(run), f"out={tmp_path / 'set'}", "unjudged=true") == 2
    assert "nothing would be left of 16 questions (evaluation item)" in capsys.readouterr().err


def test_evaluation_items_that_cannot_be_had_stop_it(
    tmp_path: Path, mixed_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = mixed_run
    elsewhere = f"against_dir={tmp_path / 'nowhere'}"
    assert distill(str(run), f"out={tmp_path / 'set'}", "unjudged=true", elsewhere) == 2
    said = capsys.readouterr().err
    assert "against=finqa: its evaluation split cannot be had" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "set").exists()


def test_a_teacher_without_reasoning_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = teacher_run(tmp_path, lambda example, _: thought(example, ""))
    assert distill(str(run), f"out={tmp_path / 'set'}", APART, "unjudged=true") == 2
    said = capsys.readouterr().err
    assert "none of 16 answers has its reasoning" in said
    assert len(said.splitlines()) == 1


SOURCES = "benchmark=[financeiq,fincuge,fincorpus,financeqt]"


def test_sources_of_the_card_that_are_no_benchmarks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = teacher_run(tmp_path, lambda example, _: thought(example), SOURCES)
    given = [str(run), f"out={tmp_path / 'set'}", APART, "unjudged=true"]
    assert distill(*given) == 2
    said = capsys.readouterr().err
    assert "FinanceIQ is CC BY-NC-SA 4.0: no commercial use" in said
    assert "FinCUGE-Instruction: evalkit has not seen its licence" in said
    assert "FinCorpus" not in said
    assert not (tmp_path / "set").exists()
    assert distill(*given, "accept_licences=true") in (0, 1)
    assert any("no commercial use" in each for each in manifest(tmp_path / "set")["notices"])
    found = read_manifest(tmp_path / "set").sources
    kept = {name: (sum(each.counts.sft.values()), each.counts.free_text) for name, each in found.items()}
    assert kept == {"financeiq": (8, 0), "fincuge": (3, 5), "fincorpus": (6, 2), "financeqt": (0, 4)}
    card = (tmp_path / "set" / "README.md").read_text(encoding="utf-8")
    assert "| FinanceIQ | 2,596 | 8 | 8 (100.0 %) | 0 (0.0 %) |" in card
    assert "| FinPEE | 179 | - | - | - |" in card


def test_a_source_may_have_another_split_than_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["+model=smollm2-135m", "benchmark=[finqa,tfns]", "data=sample", f"out={tmp_path / 'set'}", APART]
    assert distill(*given, "split=train") == 2
    assert "finqa: no train.json" in capsys.readouterr().err
    assert distill(*given, "split=train", "benchmark.finqa.split=test") == 2
    assert "tfns: no sent_train.csv" in capsys.readouterr().err


def test_a_source_without_a_licence_needs_a_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = teacher_run(tmp_path, lambda example, _: thought(example), "benchmark=finance_reasoning")
    given = (str(run), f"out={tmp_path / 'set'}", APART, "unjudged=true")
    assert distill(*given) == 2
    assert "FinanceReasoning states no licence" in capsys.readouterr().err
    assert distill(*given, "accept_licences=true") == 0
    assert "FinanceReasoning states no licence." in manifest(tmp_path / "set")["notices"]


def test_a_folder_of_something_else_stays_as_it_is(
    tmp_path: Path, mixed_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = mixed_run, tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    assert distill(str(run), f"out={out}", APART, "unjudged=true") == 2
    assert "holds something else" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_the_same_inputs_give_the_same_bytes_and_a_set_is_replaced_whole(
    tmp_path: Path, mixed_run: Path
) -> None:
    run = str(mixed_run)
    for out in ("one", "other", "one"):
        assert distill(run, f"out={tmp_path / out}", APART, "unjudged=true") == 0
    one, other = tmp_path / "one", tmp_path / "other"
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in names)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def _wrong(example: Example, _: int) -> str:
    return wrong(example, "Perhaps.")


def test_right_and_wrong_answers_of_one_question_are_pairs(tmp_path: Path) -> None:
    run = teacher_run(tmp_path, [lambda example, _: thought(example), _wrong])
    assert distill(str(run), f"out={tmp_path / 'set'}", APART, "unjudged=true") == 0
    found = rows(tmp_path / "set", "preference")
    assert len(found) == 16
    for row in found:
        assert "First this" in row["chosen"][0]["content"]
        assert "Perhaps" in row["rejected"][0]["content"]
        assert row["prompt"][-1]["role"] == "user"
        assert row["rejected_why"].startswith("financial: ")


def test_a_wrong_answer_without_reasoning_is_no_half_of_a_pair(tmp_path: Path) -> None:
    run = teacher_run(tmp_path, [lambda example, _: thought(example), lambda example, _: wrong(example, "")])
    assert distill(str(run), f"out={tmp_path / 'set'}", APART, "unjudged=true") == 0
    counts = read_manifest(tmp_path / "set").sources["finqa"].counts
    assert sum(counts.pairs.values()) == 0
    assert counts.answer_wrong == 16


def test_two_runs_are_two_teachers_of_the_same_questions(tmp_path: Path) -> None:
    good = teacher_run(tmp_path / "a", lambda example, _: thought(example), name="good")
    bad = teacher_run(tmp_path / "b", _wrong, name="bad")
    assert distill(str(good), str(bad), f"out={tmp_path / 'set'}", APART, "unjudged=true") == 0
    found = rows(tmp_path / "set", "preference")
    assert {(row["teacher"], row["rejected_teacher"]) for row in found} == {("good", "bad")}
    assert read_manifest(tmp_path / "set").sources["finqa"].counts.questions == 16


def test_a_model_is_asked_first_under_its_own_protocol(
    tmp_path: Path, mixed_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = mixed_run.parent / "outputs.jsonl"
    monkeypatch.chdir(tmp_path)
    words = [
        str(outputs),
        "benchmark=finqa",
        "data=sample",
        f"out={tmp_path / 'set'}",
        APART,
        "unjudged=true",
    ]
    assert distill(*words) == 0
    [teacher] = read_manifest(tmp_path / "set").teachers
    assert (teacher.temperature, teacher.system, teacher.recorded) == (0.6, None, True)


@pytest.mark.parametrize(("reasons_once", "asked"), [(False, 20), (True, 52)])
def test_a_teacher_that_never_reasons_is_not_asked_for_everything(
    reasons_once: bool,
    asked: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def teacher(request: Request) -> Reply:
        return Reply("<think>So.</think>5" if reasons_once and request.number == 12 else "5")

    monkeypatch.chdir(tmp_path)
    with ScriptedServer(teacher) as server:
        words = [server.url, "benchmark=finqa,tfns,convfinqa", "data=sample", "backend.slots=2"]
        code = distill(*words, "unjudged=true", APART, f"out={tmp_path / 'set'}")
        assert asked <= len(server.requests) <= min(asked + 10, 52)  # the pages under way are ended
        if not reasons_once:
            assert code == 2
            assert f"none of {len(server.requests)} answers has its reasoning" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give the folder of a finished run"),
        (["RUN", "limit=3"], "limit=3: the questions of a finished run are what they are"),
        (["RUN", "against=finq"], "Did you mean finqa?"),
        (["RUN", "against_data=moon"], "write hub, local or sample"),
        (["smollm2-135m"], "name the sources: benchmark=A,B split=train"),
        (["record.jsonl.gz"], "is a record: give the folder of its run"),
        (["sources", "limit=3"], "takes json=true only"),
    ],
)
def test_a_wrong_request_is_one_line(
    words: list[str], says: str, tmp_path: Path, mixed_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(mixed_run) if "RUN" in words else ""
    assert distill(*(run if each == "RUN" else each for each in words), f"out={tmp_path / 'set'}") == 2
    said = capsys.readouterr().err
    assert says in said
    assert len(said.splitlines()) == 1


def test_a_manifest_can_be_read_again(judged: Path) -> None:
    assert asdict(read_manifest(judged))["sources"]["finqa"]["card_records"] == 2948

"""Answered questions before the one that is asked: which, how, and what has none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.__main__ import main
from evalkit.config.checks import identity
from evalkit.config.settings import run_settings
from evalkit.run.runner import load_data
from evalkit.schema import Example, Message, UserError

from .helpers import dialogue, finqa_record, write_json


def finqa(name: int, page: str) -> dict[str, object]:
    """A record of FinQA on a page of its own."""
    record = finqa_record(name)
    return {**record, "id": f"{page}-{name}", "filename": page}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three test questions, the first on a page that the train split has too; twelve in the train split."""
    folder = tmp_path / "data"
    write_json(folder / "finqa/test.json", [finqa(100 + n, f"T/{n}.pdf") for n in range(3)])
    train = [finqa(n, f"P/{n // 2}.pdf") for n in range(12)]
    write_json(folder / "finqa/train.json", train)
    return folder


def examples(data: Path, *words: str, benchmark: str = "finqa") -> list[Example]:
    settings = ["+model=smollm2-135m", f"benchmark={benchmark}", "data=local", f"data.dir={data}", *words]
    return load_data(run_settings(settings))[benchmark].examples


def turns(example: Example) -> list[tuple[str, str]]:
    found = [(each.role, each.content) for each in example.messages if isinstance(each, Message)]
    assert len(found) == len(example.messages)
    return [(role, text) for role, text in found]


def asked(example: Example) -> list[str]:
    """The questions in its users' turns."""
    return [text.rpartition("Question: ")[2].strip() for role, text in turns(example) if role == "user"]


def test_shots_are_turns_with_the_gold_answer(data: Path) -> None:
    plain, shown = examples(data)[0], examples(data, "shots=2")[0]
    roles = [role for role, _ in turns(shown)]
    assert roles == ["user", "assistant"] * 2 + ["user"]
    assert turns(shown)[-1] == turns(plain)[0]
    assert turns(shown)[1][1] == r"\boxed{2.625}"


def test_they_are_fixed_and_of_different_pages(data: Path) -> None:
    one = [asked(example)[:-1] for example in examples(data, "shots=3")]
    other = [asked(example)[:-1] for example in examples(data, "shots=3", "seed=7", "limit=2")]
    assert len({tuple(each) for each in one + other}) == 1
    pages = {int(question.split()[-1].strip("?")) // 2 for question in one[0]}
    assert len(pages) == 3
    assert asked(examples(data, "shots=2")[0])[:-1] == one[0][:2]


def test_never_from_the_page_that_is_asked_about(data: Path) -> None:
    first = asked(examples(data, "shots=1")[0])[0]
    page = f"P/{int(first.split()[-1].strip('?')) // 2}.pdf"
    write_json(data / "finqa/test.json", [finqa(200, page), finqa(201, "T/1.pdf")])
    by_group = {example.group: asked(example)[0] for example in examples(data, "shots=1")}
    assert by_group["T/1.pdf"] == first
    assert by_group[page] != first


def test_a_dialogue_is_a_shot_as_a_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "convfinqa/dev.json", [dialogue(1)])
    write_json(tmp_path / "convfinqa/train.json", [dialogue(2), {**dialogue(3), "filename": "another.pdf"}])
    for history in ("gold", "own"):
        words = ("shots=1", f"benchmark.convfinqa.history={history}")
        first = examples(tmp_path, *words, benchmark="convfinqa")[0]
        roles = [role for role, _ in turns(first)]
        assert roles[-1] == "user"
        assert roles[:-1] == ["user", "assistant"] * (len(roles) // 2)
        assert len(roles) > 3


def test_fineval_takes_them_from_the_subject(tmp_path: Path) -> None:
    header = "id,question,A,B,C,D,answer"
    for split, count in (("val", 2), ("dev", 3)):
        folder = tmp_path / "fineval" / split
        folder.mkdir(parents=True)
        for subject in ("accounting", "finance"):
            rows = [f"{n},{split} {subject} {n},w,x,y,z,{'ABCD'[n]}" for n in range(count)]
            (folder / f"{subject}_{split}.csv").write_text("\n".join([header, *rows]) + "\n")
    for example in examples(tmp_path, "shots=2", benchmark="fineval"):
        users = [text for role, text in turns(example)[:-1] if role == "user"]
        assert len(users) == 2
        assert all(f"dev {example.group}" in text for text in users)
        assert turns(example)[1][1].startswith(r"\boxed{")
    with pytest.raises(UserError, match=r"benchmark\.fineval\.shots=4: for .* has only 3 of its group"):
        examples(tmp_path, "shots=4", benchmark="fineval")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shots=2", "benchmark=ant_finance", "data=sample"], "Ant_Finance has no train split"),
        (["shots=2", "benchmark=finqa", "data=sample"], "benchmark.finqa.shots=2: finqa: no train.json in"),
        (["shots=many", "benchmark=finqa", "data=sample"], "shots=many: must be a whole number from 0 to 32"),
        (["benchmark.finqa.shots=-1", "benchmark=finqa", "data=sample"], "benchmark.finqa.shots=-1: must be"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = tmp_path / "outputs.jsonl"
    outputs.write_text('{"id": "x", "text": "5"}\n')
    assert main(["run", "+model=replay", f"model.path={outputs}", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_benchmark_can_leave_them_out(data: Path) -> None:
    settings = run_settings(
        ["+model=smollm2-135m", "benchmark=finqa,tfns", "shots=3", "benchmark.tfns.shots=0"]
    )
    assert {name: each.shots for name, each in settings.benchmark.items()} == {"finqa": 3, "tfns": 0}


def test_they_are_part_of_a_run_and_of_its_record(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["+model=smollm2-135m", "benchmark=finqa", "data=local", f"data.dir={data}"]
    without, with_two = identity(run_settings(words)), identity(run_settings([*words, "shots=2"]))
    assert {name: value for name, value in with_two.items() if name not in without} == {
        "benchmark.finqa.shots": 2
    }
    outputs = tmp_path / "outputs.jsonl"
    outputs.write_text("".join(json.dumps({"id": e.id, "text": "5"}) + "\n" for e in examples(data)))
    run = ["+model=replay", f"model.path={outputs}", *words[1:]]
    assert main(["run", *run, "shots=2", f"run_dir={tmp_path / 'run'}"]) == 0
    assert ", shots 2" in capsys.readouterr().out
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["n-shot"] == {"finqa": 2}
    facts = json.loads((tmp_path / "run/run.json").read_text())["data"]["finqa"]["shots"]
    assert (facts["n"], facts["split"]) == (2, "train")
    assert main(["score", str(tmp_path / "run")]) == 0

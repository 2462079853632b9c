"""Questions of one's own: a table without code."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from evalkit.benchmarks import load
from evalkit.benchmarks.questions import Question, Settings, questions, read_table
from evalkit.commands import benchmarks as command
from evalkit.commands import compare as compare_command
from evalkit.commands import run as run_command
from evalkit.config.overrides import compose, to_dict
from evalkit.config.settings import DataSettings, read_questions, run_settings
from evalkit.schema import (
    ChoiceGold,
    Example,
    LabelGold,
    Loaded,
    Message,
    NumberGold,
    TextGold,
    UserError,
    YesNoGold,
)


def block(file: Path | str, *more: str) -> Settings:
    """The settings of a set, as the command line gives them."""
    words = ["data=sample", f"benchmark={file}", *more]
    found = next(iter(read_questions(to_dict(compose(words))).benchmark.values()))
    assert isinstance(found, Settings)
    return found


def asked(file: Path, *more: str) -> list[Question]:
    settings = block(file, *more)
    return questions(settings, read_table(settings))


def write(folder: Path, text: str, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def loaded(file: Path, *more: str, limit: int | None = None) -> Loaded:
    return load(block(file, *more), DataSettings(source="sample"), limit=limit, seed=0, sampling="item")


def prompt(example: Example) -> str:
    (message,) = example.messages
    assert isinstance(message, Message)
    return message.content


def test_every_kind_of_answer_is_inferred(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "Question,Answer,Context,A,B\n"
        "By how much did sales grow?,6.5 %,Sales rose.,,\n"
        'What were sales?,"$1,200.5 million",Sales rose.,,\n'
        "Did sales fall?,No,Sales rose.,,\n"
        "Which is a liability?,b,,Cash,A loan\n"
        "Which is an asset?,Cash,,Cash,A loan\n"
        "Why did sales grow?,Because prices rose by 3 % in May.,Sales rose.,,\n"
        "这笔交易合规吗？,是,,,\n",
    )
    golds = [question.gold for question in asked(file)]
    assert golds[0] == NumberGold(0.065, "By how much did sales grow?", "6.5 %")
    assert golds[1] == NumberGold(1200.5, "What were sales?", "$1,200.5 million")
    assert golds[2] == YesNoGold(False, "Did sales fall?")
    assert golds[3:5] == [ChoiceGold(letter, {"A": "Cash", "B": "A loan"}) for letter in "BA"]
    assert golds[5] == TextGold("Because prices rose by 3 % in May.")
    assert golds[6] == YesNoGold(True, "这笔交易合规吗？")
    found = asked(file)
    assert [question.language for question in found] == ["en"] * 6 + ["zh"]
    assert len({question.group for question in found[:3]}) == 1  # one context, one group
    assert len({question.group for question in found}) == 4


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine.tsv", "question\tanswer\nHow much?\t5\n"),
        ("mine.jsonl", '{"question": "How much?", "answer": 5}\n\n'),
        ("mine.json", '[{"query": "How much?", "gold": "5"}]'),
        ("mine.csv", "\ufeff问题,答案\nHow much?,5\n"),
    ],
)
def test_kinds_of_files(tmp_path: Path, name: str, text: str) -> None:
    (question,) = asked(write(tmp_path, text, name))
    assert question.gold == NumberGold(5.0, "How much?", "5")


def test_parquet(tmp_path: Path) -> None:
    import pandas as pd

    path = tmp_path / "mine.parquet"
    pd.DataFrame(
        {"prompt": ["Right?", "Which?"], "target": [None, "z"], "choices": [None, ["y", "z"]]}
    ).to_parquet(path)
    (question,) = asked(path)  # a row without an answer cannot be scored
    assert question.gold == ChoiceGold("B", {"A": "y", "B": "z"})
    assert loaded(path).provenance["without_answer"] == 1


def test_labels_are_few_and_come_often(tmp_path: Path) -> None:
    rows = "".join(f"Tweet {n}?,{label}\n" for n in range(4) for label in ("up", "down"))
    golds = {question.gold for question in asked(write(tmp_path, "question,answer\n" + rows))}
    assert golds == {LabelGold(label, ("down", "up")) for label in ("up", "down")}
    few = write(tmp_path, "question,answer\nWho?,the bank\nWhom?,the client\n", "few.csv")
    assert {question.kind for question in asked(few)} == {"text"}
    told = asked(few, "benchmark.few.answers=label")
    assert told[0].gold == LabelGold("the bank", ("the bank", "the client"))
    given = asked(few, "benchmark.few.labels=[the bank,the client,nobody]")
    assert given[0].gold == LabelGold("the bank", ("the bank", "the client", "nobody"))


def test_columns_of_any_name(tmp_path: Path) -> None:
    file = write(tmp_path, "Nr,Frage,Antwort,Seite\n7,Wie viel?,5,Eine Seite\n")
    mapped = {"id": "Nr", "question": "Frage", "answer": "Antwort", "context": "Seite"}
    (question,) = asked(file, *(f"benchmark.mine.columns.{key}={name}" for key, name in mapped.items()))
    assert (question.name, question.text, question.context) == ("7", "Wie viel?", "Eine Seite")


def test_prompts_share_their_page_and_say_how_to_answer(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "question,answer,context,A,B\nHow much?,5,The page.,,\nWhich?,A,The page.,x,y\n"
        "Why?,So it is.,The page.,,\n",
    )
    number, choice, text = sorted(loaded(file).examples, key=lambda example: example.question)
    assert {prompt(each)[: len("The page.\n\nQuestion: ")] for each in (number, choice, text)} == {
        "The page.\n\nQuestion: "
    }
    assert "a number with its unit" in prompt(number)
    assert "A. x\nB. y" in prompt(choice)
    assert "boxed" not in prompt(text)
    own = write(tmp_path, "{{ question }} ({{ kind }}) {{ context }}", "own.jinja")
    words = {prompt(each) for each in loaded(file, f"benchmark.mine.prompt={own}").examples}
    assert "How much? (number) The page." in words


def test_what_a_cell_holds_is_never_a_template(tmp_path: Path) -> None:
    (example,) = loaded(write(tmp_path, 'question,answer\n"{{ 7*7 }} {% if %}?",5\n')).examples
    assert "{{ 7*7 }} {% if %}?" in prompt(example)


def test_a_limit_and_several_sets(tmp_path: Path) -> None:
    rows = "".join(f"What is {n} + {n}?,{2 * n}\n" for n in range(20))
    one = write(tmp_path, "question,answer\n" + rows, "First Set.csv")
    two = write(tmp_path, "question,answer\nWhat?,5\n", "two.csv")
    words = ["+model=smollm2-135m", "data=sample", f"benchmark=[tfns,{one},mine]"]
    settings = run_settings([*words, f"benchmark.mine.file={two}", "benchmark.first_set.limit=3"])
    assert list(settings.benchmark) == ["tfns", "first_set", "mine"]
    assert settings.benchmark["first_set"].limit == 3
    smaller, larger = (loaded(one, limit=limit).examples for limit in (3, 5))
    assert larger[:3] == smaller
    assert {example.benchmark for example in larger} == {"first_set"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected a line of column names, got nothing"),
        ("question,answer\n", "it has no rows: give one question a row, with columns question and answer"),
        (
            "frage,answer\nx,1\n",
            "none of its columns is the question by its name: name it with benchmark.NAME.columns.question=",
        ),
        ("question,antwort\nx,1\n", "none of its columns is the answer by its name"),
        ("question,answer\n,5\n", "line 2: field question: expected a question, got ''"),
        (
            "question,answer,A,B\nWhich?,C,x,y\n",
            "line 2: field answer: expected one of the row's options (A, B)",
        ),
        ("question,answer\nx,1,2\n", "line 2: expected 2 cells (question, answer), got 3"),
        ('question,answer\nx,"1\n', "not valid CSV (unexpected end of data)"),
        ("id,question,answer\n1,x,1\n1,y,2\n", "line 3: id '1' is that of line 2 too: ids must be unique"),
        ("question,answer,options\nx,1,a;b\n", "line 2: field options: expected a JSON list"),
        ('question,answer,options\nx,1,"[""a""]"\n', "line 2: field options: expected 2 to 8 options"),
        ("question,question\nx,1\n", "a column name is used twice"),
    ],
)
def test_bad_files_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        loaded(write(tmp_path, text))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def read_whole(*words: str) -> None:
    settings = read_questions(to_dict(compose(["data=sample", *words])))
    for each in settings.benchmark.values():
        load(each, settings.data, limit=None, seed=0, sampling="item")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["benchmark=none.csv"], "no such file"),
        (["benchmark=mine.xlsx"], "Excel"),
        (["benchmark=mine.parquet"], "not a readable Parquet file"),
        (["benchmark=[a/mine.csv,b/mine.csv]"], "two sets of questions are called mine"),
        (["benchmark=1.csv"], "give the set a name: benchmark=NAME benchmark.NAME.file=1.csv"),
        (["benchmark=mine.csv", "benchmark.mine.answers=nmber"], "answers=nmber"),
        (["benchmark=mine.csv", "benchmark.mine.columns.question=Frage"], "columns.question=Frage"),
        (["benchmark=mine.csv", "benchmark.mine.answers=number"], "expected a number, perhaps with its unit"),
    ],
)
def test_wrong_requests_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "question,answer\nWhy?,Because it is so.\n")
    for broken in ("mine.xlsx", "mine.parquet"):
        (tmp_path / broken).write_bytes(b"PK\x03\x04 not what its name says")
    with pytest.raises(UserError) as error:
        read_whole(*words)
    assert message in str(error.value)


def test_it_is_shown_before_anything_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "question,answer,A,B\nWhich?,A,x,y\nHow much?,5%,,\nHow many?,6,,\n")
    assert command.main(["show", str(file)]) == 0
    said = capsys.readouterr().out
    assert "mine: 3 rows, 3 with an answer" in said
    assert "question = question; answer = answer; options = A, B" in said
    assert "answers: 2 number, 1 choice" in said
    assert said.index("[choice; right: A") < said.index("[number; right:")


def test_the_bundled_sample_is_read_whole() -> None:
    settings = block("questions")
    found = questions(settings, read_table(settings))
    assert len(found) == 20
    assert {question.kind for question in found} == {"number", "choice", "yes_no", "text"}
    assert {question.language for question in found} == {"en", "zh"}


def test_ids_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "answer": n} for n in range(5)]
    names = [
        {question.text: question.name for question in asked(write(tmp_path, json.dumps(each), "q.json"))}
        for each in (rows, rows[::-1])
    ]
    assert names[0] == names[1]


def test_from_a_file_to_a_compared_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(
        tmp_path,
        "id,question,answer,context\n1,How much?,$5 million,Page.\n2,Which way?,yes,Page.\n"
        "3,Why?,So it is.,Page.\n",
    )
    folders = []
    for name, texts in (
        ("one", (r"\boxed{5,000,000}", "Yes.", "So.")),
        ("two", (r"\boxed{5 billion}", "No.", "So.")),
    ):
        lines = (json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(texts, 1))
        outputs = write(tmp_path, "".join(lines), f"{name}.jsonl")
        folders.append(str(tmp_path / name))
        words = ["+model=replay", f"model.path={outputs}", f"benchmark={file}", f"run_dir={folders[-1]}"]
        assert run_command.main(words) == 0
    capsys.readouterr()
    assert compare_command.main([*folders]) == 0
    assert "mine" in capsys.readouterr().out
    scores = [
        [json.loads(line)["failure"] for line in (Path(folder) / "scores.jsonl").read_text().splitlines()]
        for folder in folders
    ]
    assert scores == [["correct", "correct", "unscored"], ["scale_thousand", "wrong_choice", "unscored"]]
    assert str(tmp_path) not in gzip.decompress((tmp_path / "one/record.jsonl.gz").read_bytes()).decode()

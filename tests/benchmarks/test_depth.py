"""The page behind other pages' text: how much, which, and what it leaves as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.__main__ import main
from evalkit.benchmarks.depth import CHARACTERS, unpadded
from evalkit.config.checks import identity
from evalkit.config.settings import run_settings
from evalkit.run.folder import run_id
from evalkit.run.runner import load_data
from evalkit.schema import Example, Message, UserError
from evalkit.sweep.plan import plan

from .helpers import dialogue, finqa_record, write_json

DEPTH = 300
WORDS = " ".join(f"word{n}" for n in range(40))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eight pages with two questions each, and the same as dialogues; each page has a word of its own."""
    folder = tmp_path / "data"
    records = []
    for number in range(16):
        page = f"P/{number // 2}.pdf"
        records.append({**finqa_record(number, page), "pre_text": [f"page{number // 2} {WORDS} ."]})
    write_json(folder / "finqa/test.json", records)
    dialogues = [{**dialogue(n, page=f"P/{n}.pdf"), "pre_text": [f"page{n} {WORDS} ."]} for n in range(8)]
    write_json(folder / "convfinqa/dev.json", dialogues)
    return folder


def examples(data: Path, *words: str, benchmark: str = "finqa") -> list[Example]:
    settings = ["+model=smollm2-135m", f"benchmark={benchmark}", "data=local", f"data.dir={data}", *words]
    return load_data(run_settings(settings))[benchmark].examples


def user(example: Example) -> str:
    """What the user says first."""
    first = example.messages[0]
    assert isinstance(first, Message)
    return first.content


def padding(example: Example) -> str:
    return user(example).removesuffix(unpadded(user(example)))


@pytest.mark.parametrize("benchmark", ["finqa", "convfinqa"])
def test_other_pages_stand_before_the_page(data: Path, benchmark: str) -> None:
    plain = examples(data, benchmark=benchmark)
    deep = examples(data, f"benchmark.{benchmark}.depth={DEPTH}", benchmark=benchmark)
    assert [(e.id, e.turn, e.gold, e.context) for e in deep] == [
        (e.id, e.turn, e.gold, e.context) for e in plain
    ]
    for before, after in zip(plain, deep, strict=True):
        assert unpadded(user(after)) == user(before)
        assert after.messages[1:] == before.messages[1:]
        own = before.context.split()[0]
        assert own.startswith("page")
        assert own not in padding(after).split()
        length = len(padding(after)) + len(before.context)
        assert DEPTH * CHARACTERS - 20 <= length <= DEPTH * CHARACTERS + 120  # headings, and a whole word


def test_the_padding_is_fixed_and_shared(data: Path) -> None:
    deep = f"benchmark.finqa.depth={DEPTH}"
    one = {example.id: padding(example) for example in examples(data, deep)}
    other = {example.id: padding(example) for example in examples(data, deep, "seed=7", "limit=3")}
    assert {name: one[name] for name in other} == other
    starts = [text[:200] for text in one.values()]
    assert max(starts.count(start) for start in starts) >= len(starts) - 2  # all but those of the first page


def test_less_than_the_page_pads_nothing(data: Path) -> None:
    assert examples(data, "benchmark.finqa.depth=10") == examples(data)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["benchmark.finqa.depth=100000"], r"benchmark\.finqa\.depth=100000: the split's pages are about"),
        (["benchmark.finqa.depth=-1"], r"benchmark\.finqa\.depth=-1: must be a whole number"),
        (["benchmark.finqa.depth=x"], r"benchmark\.finqa\.depth=x: must be a whole number"),
    ],
)
def test_what_cannot_be_meant_is_one_line(data: Path, words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        examples(data, *words)


def test_only_benchmarks_of_pages_have_it() -> None:
    words = ["+model=smollm2-135m", "data=sample", "benchmark=tfns"]
    with pytest.raises(UserError, match="depth"):
        load_data(run_settings([*words, "benchmark.tfns.depth=100"]))
    with pytest.raises(UserError, match="TFNS has no pages to pad"):
        load_data(run_settings([*words, "+benchmark.tfns.depth=100"]))


def test_it_is_part_of_a_run() -> None:
    words = ["+model=smollm2-135m", "data=sample", "benchmark=finqa"]
    plain, none, deep = (
        run_settings([*words, *more])
        for more in ([], ["benchmark.finqa.depth=0"], ["benchmark.finqa.depth=1000"])
    )
    assert run_id(plain) == run_id(none) != run_id(deep)
    assert identity(deep)["benchmark.finqa.depth"] == 1000


def test_the_sample_of_tatqa() -> None:
    words = ["+model=smollm2-135m", "data=sample", "benchmark=tatqa"]
    plain, deep = (
        load_data(run_settings([*words, *more]))["tatqa"] for more in ([], ["benchmark.tatqa.depth=190"])
    )
    assert deep.provenance["depth"] == {"tokens": 190, "characters_a_token": CHARACTERS}
    assert [unpadded(user(each)) for each in deep.examples] == [user(each) for each in plain.examples]
    assert any(user(a) != user(b) for a, b in zip(deep.examples, plain.examples, strict=True))


def test_depths_are_compared_question_by_question(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"id": each.id, "text": "\\boxed{2.625}"}) for each in examples(data)]
    Path("outputs.jsonl").write_text("\n".join(lines), encoding="utf-8")
    words = ["run", "outputs.jsonl", "benchmark=finqa", "data=local", f"data.dir={data}"]
    for name, depth in (("near", 0), ("far", DEPTH)):
        assert main([*words, f"benchmark.finqa.depth={depth}", f"run_dir={name}"]) == 0
    assert "depth 300" in capsys.readouterr().out
    assert main(["compare", "near", "far", "json=true"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["benchmarks"][0]["compared"] == 16
    assert found["differences"]["depth of finqa"] == [0, DEPTH]


def test_a_sweep_over_depths() -> None:
    words = ["smollm2-135m", "data=sample", "benchmark=finqa", "benchmark.finqa.depth=0,1000"]
    members = plan(words).members
    assert [each.settings.benchmark["finqa"].depth for each in members] == [0, 1000]
    with pytest.raises(UserError, match="members must answer the same questions"):
        plan([*words[:3], "benchmark.finqa.shots=0,1"])

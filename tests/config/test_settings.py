"""Settings as types: what is refused, in which words, and what makes a run another run."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit import engines
from evalkit.__main__ import main
from evalkit.config import overrides as composing
from evalkit.config.settings import RunSettings, read_run, run_settings
from evalkit.files import CONFIGS
from evalkit.run.folder import RunFolder, read_settings, run_id
from evalkit.run.runner import load_data
from evalkit.schema import NumberGold, UserError, gold_text
from tests.extension import module_beside
from tests.settings import changed

MODEL = "model=fin-r1-q4_k"
SAMPLE = [MODEL, "data=sample"]


def refusal(capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    """The line with which `evalkit run` refuses a command, before it makes or downloads anything."""
    assert main(["run", *overrides]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("evalkit: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err.removeprefix("evalkit: ").rstrip("\n")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a refused command would leave behind lies here."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("backend.gpu_layers=many", "backend.gpu_layers=many: must be a whole number, -1 or more"),
        ("backend.mmap=perhaps", "backend.mmap=perhaps: must be true or false"),
        ("backend.timeout=soon", "backend.timeout=soon: must be a number above 0 and at most 86400"),
        ("backend.slots=2.5", "backend.slots=2.5: must be a whole number, 1 or more"),
        ("backend.slots=true", "backend.slots=true: must be a whole number, 1 or more"),
        ("backend.port=70000", "backend.port=70000: must be a whole number from 1 to 65535, or null"),
        ("backend.flash_attention=of", "must be off, on or auto. Did you mean off?"),
        ("protocol.temperature=nan", "protocol.temperature=nan: must be a number from 0 to 5"),
        ("model.title=null", "model.title=null: must be a text"),
        ("model.name=a/b", "model.name=a/b: must be a name without / and \\"),
        ("model.name=''", "model.name=: must be a text that is not empty"),
        ("probe=[yes]", "probe=['yes']: must be true or false"),
        (
            "benchmark.tfns.hub.counts.label=7",
            "benchmark.tfns.hub.counts.label=7: must be settings of its own",
        ),
        ("benchmark.finqa.hub.files.test.path=7", "benchmark.finqa.hub.files.test.path=7: must be a text"),
    ],
)
def test_a_value_of_another_type_is_refused_in_one_line(
    override: str, says: str, capsys: pytest.CaptureFixture[str], empty_folder: Path
) -> None:
    line = refusal(capsys, *SAMPLE, override)
    assert line == says or (line.startswith(override) and line.endswith(says))
    assert not list(empty_folder.iterdir())


def test_items_of_a_list_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, "model=fin-r1", "data=sample", "backend.extra_args=[--x,[1]]") == (
        "backend.extra_args=[[1]]: each must be a text, or a whole number, or a number"
    )


def test_a_value_that_may_be_secret_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    remote = ["model=endpoint", "data=sample"]
    assert refusal(capsys, *remote, "backend.urls=[[sk-hidden]]") == "backend.urls: each must be a text"
    assert refusal(capsys, *remote, "backend.base_url=[sk-hidden]") == (
        "backend.base_url: must be a text, or null"
    )


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("backend.gpu_layer=3", "backend.gpu_layers"),
        ("+backend.gpu_layer=3", "backend.gpu_layers"),
        ("+benchmark.convfinqa.histroy=own", "benchmark.convfinqa.history"),
        ("+model.sha265=abc", "model.sha256"),
        ("+label_defect=x.csv", "label_defects"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(
    override: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key = override.lstrip("+").partition("=")[0]
    assert refusal(capsys, *SAMPLE, override) == (
        f"no such setting: '{key}'. Did you mean {meant}? See `evalkit run --help`"
    )


def test_a_benchmark_that_is_not_asked_has_no_settings(capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, *SAMPLE, "benchmark=[tfns]", "+benchmark.finqa.limit=3")
    assert line == "benchmark.finqa: it is not asked here: name it in benchmark=..."


def test_hostile_keys_and_values_stay_on_one_short_line() -> None:
    composed = run_settings(SAMPLE).model_dump()
    text = "a\nb\x1b[2J" * 10_000
    backend, tfns = composed["backend"], composed["benchmark"]["tfns"]
    for changes in (
        {"limit": text},
        {"limit": [["\n"]] * 999},
        {text: 1},
        {"backend": {**backend, "kind": text}},
        {"executor": {"kind": text}},
        {"benchmark": {text: tfns}},
        {"benchmark": {"tfns": {**tfns, "hub": {**tfns["hub"], "files": {text: {"path": 7}}}}}},
    ):
        with pytest.raises(UserError) as caught:
            read_run({**composed, **changes})
        message = str(caught.value)
        assert len(message) < 400
        assert message.isprintable()


def test_a_rule_that_does_not_exist_is_refused(
    capsys: pytest.CaptureFixture[str], empty_folder: Path
) -> None:
    line = refusal(capsys, *SAMPLE, "benchmark.finqa.rule=nonsense")
    assert line.startswith("benchmark.finqa.rule: no rule 'nonsense': ")
    assert "financial" in line
    assert refusal(capsys, *SAMPLE, "benchmark.finqa.rule=docmat").endswith("Did you mean docmath?")
    assert not list(empty_folder.iterdir())


def replay(folder: Path, *overrides: str) -> list[str]:
    """`evalkit run` over recorded outputs for FinQA's sample: near enough for the default rule alone."""
    settings = run_settings(["model=replay", "model.path=x", "data=sample", "benchmark=[finqa]"])
    outputs = folder / "outputs.jsonl"
    with outputs.open("w") as file:
        for example in load_data(settings)["finqa"].examples:
            gold = example.gold
            near = f"{gold.value * 1.004:.6g}" if isinstance(gold, NumberGold) else gold_text(gold)
            file.write(json.dumps({"id": example.id, "text": rf"\boxed{{{near}}}"}) + "\n")
    return ["run", "model=replay", f"model.path={outputs}", "data=sample", "benchmark=[finqa]", *overrides]


def generation_keys(run: Path) -> list[str]:
    return [json.loads(line)["key"] for line in (run / "generations.jsonl").read_text().splitlines()]


def test_the_counting_rule_is_no_part_of_what_is_generated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "work" / "results" / "runs" / "replay"
    assert main(replay(tmp_path)) == 0
    [first] = runs.iterdir()
    keys = generation_keys(first)
    assert len(keys) == len(set(keys)) > 0
    assert main(replay(tmp_path, "benchmark.finqa.rule=docmath")) == 0
    assert list(runs.iterdir()) == [first], "the same run id"
    assert generation_keys(first) == keys


@pytest.mark.parametrize("rule", ["financial", "docmath"])
def test_the_rule_of_a_benchmark_is_the_one_that_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str
) -> None:
    """The table shows its accuracy; those of both rules stand beside each other in results.json."""
    run = tmp_path / "run"
    assert main(replay(tmp_path, f"benchmark.finqa.rule={rule}", f"run_dir={run}")) == 0
    assert main(["score", str(run), "rules=all"]) == 0
    task = json.loads((run / "results.json").read_text())["results"]["finqa"]
    assert task["acc,financial"] > task["acc,docmath"]
    row = next(csv.DictReader((run / "table.csv").read_text().splitlines()))
    assert row["FinQA"].startswith(f"{100 * task[f'acc,{rule}']:.1f}")


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.title=Another"],
        ["model.licence=MIT", "model.needs=nothing", "model.family=none"],
        ["benchmark.tfns.title='The news'", "benchmark.tfns.licence=none", "benchmark.tfns.source=here"],
        ["benchmark.finqa.rule=docmath"],
        ["backend.port=8080", "backend.timeout=60", "backend.threads=3"],
        ["results_dir=elsewhere", "run_dir=here", "probe=true", "strict=true"],
        ["+executor=local"],
    ],
)
def test_what_changes_no_answer_leaves_the_run_id(overrides: list[str]) -> None:
    assert run_id(run_settings([*SAMPLE, *overrides])) == run_id(run_settings(SAMPLE))


@pytest.mark.parametrize(
    "override",
    [
        "model.name=another",
        "seed=1",
        "limit=5",
        "benchmark.tfns.limit=5",
        "protocol.temperature=0.1",
        "backend.slots=2",
        "backend.gpu_layers=0",
        "benchmark.convfinqa.history=own",
        "benchmark=[tfns]",
    ],
)
def test_what_may_change_an_answer_makes_another_run(override: str) -> None:
    assert run_id(run_settings([*SAMPLE, override])) != run_id(run_settings(SAMPLE))


def test_settings_survive_the_disk(tmp_path: Path) -> None:
    settings = run_settings(["model=endpoint", "data=sample", "benchmark=[convfinqa]", "executor=ray"])
    with RunFolder(tmp_path / "run", settings) as folder:
        assert read_settings(folder.path) == settings


def test_settings_cannot_be_changed_in_place() -> None:
    settings = run_settings(SAMPLE)
    with pytest.raises(ValueError, match="frozen"):
        setattr(settings, "limit", 3)  # noqa: B010 - what mypy would refuse
    assert changed(settings, limit=3).limit == 3
    assert settings.limit is None


BACKEND = """
from typing import Literal

from evalkit.config.checks import Immaterial, Whole
from evalkit.config.settings import BackendSettings
from tests.runner.test_schedule import ToyEngine


class Settings(BackendSettings):
    kind: Literal["parrot"]
    slots: Whole
    cage: Immaterial[str | None]


def open_engine(model, backend, max_tokens, log):
    return ToyEngine(backend.slots)
"""


@pytest.fixture
def parrot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A backend more: a config, and a module beside the others."""
    shutil.copytree(CONFIGS, tmp_path / "configs")
    (tmp_path / "configs/backend/parrot.yaml").write_text(
        "# @package backend\nkind: parrot\nslots: 2\ncage: null\n"
    )
    monkeypatch.setattr(composing, "CONFIGS", tmp_path / "configs")
    with module_beside(engines, "parrot", BACKEND, tmp_path / "modules", monkeypatch):
        yield


@pytest.mark.usefixtures("parrot")
def test_a_new_backend_is_one_module_and_one_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "model=gguf",
        "model.path=x.gguf",
        "backend=parrot",
        "data=sample",
        "benchmark=[tfns]",
        "limit=3",
    ]

    def settings(*overrides: str) -> RunSettings:
        return run_settings([*words, *overrides])

    assert refusal(capsys, *words, "backend.slots=many") == (
        "backend.slots=many: must be a whole number, 1 or more"
    )
    assert "Did you mean backend.slots?" in refusal(capsys, *words, "backend.slot=1")
    assert run_id(settings("backend.cage=gold")) == run_id(settings())
    assert run_id(settings("backend.slots=1")) != run_id(settings())
    assert main(["run", *words, f"run_dir={tmp_path / 'run'}"]) == 0
    assert len(set(generation_keys(tmp_path / "run"))) == 3

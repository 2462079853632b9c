"""The configs compose under `benchmark.<name>`, and a new benchmark is found without editing a list."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from evalkit import benchmarks
from evalkit.benchmarks import load, names, prompts
from evalkit.config import overrides
from evalkit.config.settings import read_benchmark
from evalkit.files import BENCHMARKS, CONFIGS
from evalkit.schema import Message, UserError
from tests.settings import HUB, local

from .helpers import write_json


@pytest.mark.parametrize("name", names())
def test_config(name: str) -> None:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        composed = compose(f"benchmark/{name}").benchmark[name]
    assert composed.name == name
    assert {"title", "licence", "source", "records", "items", "rule"} <= set(composed)
    assert (BENCHMARKS / name / composed.prompt).is_file()


MODULE = """
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks import Unit
from evalkit.schema import Example, Message, TextGold

IDS = "upstream"


def unit(record, settings):
    def build():
        text = render("brandnew", settings.prompt, text=record.text("text"))
        return [Example("brandnew", record.text("id"), (Message("user", text),), TextGold("x"), "g")]

    return Unit(record.text("id"), "g", 1, build)
"""


def test_a_new_benchmark_is_a_module_a_folder_and_a_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("configs/benchmark", "benchmarks/brandnew", "modules"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "configs/benchmark/brandnew.yaml").write_text("name: brandnew\n")
    (tmp_path / "benchmarks/brandnew/ask.jinja").write_text("Say {{ text }}\n")
    (tmp_path / "modules/brandnew.py").write_text(MODULE)
    write_json(tmp_path / "data/brandnew/all.json", [{"id": "1", "text": "hello"}])
    monkeypatch.setattr(overrides, "CONFIGS", tmp_path / "configs")
    monkeypatch.setattr(prompts, "BENCHMARKS", tmp_path / "benchmarks")
    monkeypatch.setattr(benchmarks, "__path__", [*benchmarks.__path__, str(tmp_path / "modules")])
    config = {"name": "brandnew", "title": "Brand new", "split": "all", "files": "{split}.json"}
    chosen = read_benchmark("brandnew", {**config, "prompt": "ask.jinja"})
    [example] = load(chosen, local(tmp_path / "data"), limit=None, seed=0, sampling="item").examples
    assert example.messages == (Message("user", "Say hello"),)
    with pytest.raises(UserError, match="its config names no hub"):
        load(chosen, HUB, limit=None, seed=0, sampling="item")


def test_a_config_without_its_keys_is_refused() -> None:
    with pytest.raises(UserError, match=r"^benchmark\.finqa\.split is missing"):
        read_benchmark("finqa", {"name": "finqa", "title": "FinQA", "prompt": "prompt.jinja"})


def test_a_broken_template_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken").mkdir()
    monkeypatch.setattr(prompts, "BENCHMARKS", tmp_path)
    for number, text in enumerate(("{% if %}", "{{ missing }}", "{{ text.__class__.mro() }}")):
        (tmp_path / f"broken/{number}.jinja").write_text(text)
        with pytest.raises(UserError, match=rf"^{number}\.jinja: the template of broken cannot be rendered"):
            prompts.render("broken", f"{number}.jinja", text="x")

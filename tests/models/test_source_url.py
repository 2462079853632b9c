from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.config.settings import run_settings
from evalkit.engines.llama_cpp import Settings, open_engine
from evalkit.schema import UserError
from evalkit.weights.fetch import resolve_weights
from tests.settings import model_settings


def refused(url: str, **model: object) -> str:
    with pytest.raises(UserError) as error:
        resolve_weights(model_settings(source={"url": url}, **model))
    assert "\n" not in str(error.value)
    return str(error.value)


def files(folder: Path) -> list[str]:
    return sorted(
        file.name for file in folder.rglob("*") if file.is_file() and file.suffix not in (".lock", ".json")
    )


def test_downloads_once_and_keeps_secrets_out_of_the_record(
    web: str, cache: Path, gets: list[str], content: bytes, sha256: str
) -> None:
    model = model_settings(source={"url": f"{web}/files/once.gguf?token=secret"}, sha256=sha256)
    first = resolve_weights(model)
    assert first.path.read_bytes() == content
    assert (first.sha256, first.size_bytes) == (sha256, len(content))
    assert first.origin == f"url:{web}/files/once.gguf"
    assert resolve_weights(model) == first
    assert gets.count("/files/once.gguf") == 1


def test_processes_at_the_same_time_share_one_download(
    web: str, cache: Path, gets: list[str], sha256: str
) -> None:
    code = "import sys; from evalkit.weights.fetch import resolve_weights as resolve; "
    code += "from tests.settings import model_settings; "
    code += "print(resolve(model_settings(source={'url': sys.argv[1]})).sha256)"
    command = [sys.executable, "-c", code, f"{web}/files/shared.gguf"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert {process.communicate(timeout=300)[0].strip() for process in running} == {sha256}
    assert gets.count("/files/shared.gguf") == 1


def test_wrong_hash_is_not_kept(web: str, cache: Path, sha256: str) -> None:
    message = refused(f"{web}/files/wrong.gguf", sha256="0" * 64)
    assert sha256 in message
    assert files(cache) == []


def test_cut_off_download_is_not_kept(web: str, cache: Path) -> None:
    assert "Cannot download" in refused(f"{web}/files/cut.gguf")
    assert files(cache) == []


def test_too_big_for_the_disk_is_refused_before_the_download(web: str, cache: Path, gets: list[str]) -> None:
    message = refused(f"{web}/files/huge.gguf")
    assert "needs 10000000.00 GB" in message
    assert "EVALKIT_CACHE" in message
    assert gets.count("/files/huge.gguf") == 0


def test_what_cannot_be_fetched(web: str, cache: Path) -> None:
    assert "404" in refused(f"{web}/nothing/here.gguf")
    secret = refused("http://user:secret@127.0.0.1:9/x.gguf?token=secret")
    assert "Cannot download http://127.0.0.1:9/x.gguf" in secret
    assert "secret" not in secret
    for bad in ("file:///etc/passwd", "x.gguf", "http://", "http://[bad"):
        assert "model.path=FILE" in refused(bad)


@pytest.mark.parametrize("name", ["a%00b.gguf", "%1b[31m.gguf", "x" * 300 + ".gguf", "%2e%2e", "..%2f..%2fx"])
def test_any_name_in_an_address_is_a_file_in_the_cache(
    name: str, web: str, cache: Path, content: bytes
) -> None:
    found = resolve_weights(model_settings(source={"url": f"{web}/files/{name}"}))
    assert found.path.read_bytes() == content
    assert found.path.is_relative_to(cache)
    assert found.path.name.isprintable()


def test_a_page_instead_of_a_model_does_not_stay(
    web: str, cache: Path, gets: list[str], tmp_path: Path
) -> None:
    settings = run_settings(["+model=gguf", "model.path=null", f"+model.source.url={web}/files/page.gguf"])
    assert isinstance(settings.backend, Settings)
    for _ in range(2):
        with pytest.raises(UserError, match=r"page\.gguf was removed: the same command fetches it again"):
            open_engine(settings.model, settings.backend, 100, tmp_path / "log")
    assert gets.count("/files/page.gguf") == 2

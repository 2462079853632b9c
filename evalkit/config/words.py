"""What people write on a command line, as Hydra's overrides: files, names and addresses first.

evalkit run my.gguf benchmark=finqa, tfns       model=gguf model.path=my.gguf benchmark=[finqa,tfns]
evalkit sweep a.gguf hf:OWNER/REPO/b.gguf       a run for each
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit

from evalkit.config.overrides import SYNONYMS, names, quoted
from evalkit.schema import UserError, nearest
from evalkit.text import printable, public_url

_SETTING = re.compile(r"[+~]{0,2}[\w@./-]+=", re.ASCII)
_HUB_PAGE = re.compile(r"/([^/]+/[^/]+)/(?:resolve|blob)/([^/]+)/(.+)")
CHECKPOINT_FILES = (".safetensors", ".bin", ".pt", ".pth")
_OTHER_FILES = {
    ".csv": "is a table",
    ".onnx": "is an ONNX file",
    ".ggml": "is a file of llama.cpp before GGUF: convert or download it again",
    ".zip": "is an archive: unpack it, and name the GGUF file in it",
    ".gz": "is an archive: unpack it, and name the GGUF file in it",
}
# What other tools' options are called here, where that is no setting.
_OPTIONS = {
    "dry-run": "plan=true says what a run would do",
    "version": "`evalkit --version`",
    "verbose": "the engine's log is in the run's folder",
    "cfg": "the composed settings of a run are in the config.yaml of its folder",
    "resume": "the same command goes on where it stopped",
    "device": "llama.cpp takes what there is: backend.gpu_layers=0 for the CPU alone",
    "num-fewshot": "shots=N puts N answered questions before each one",
    "help": "`evalkit COMMAND --help`",
    "yes": "nothing is ever asked",
    "y": "nothing is ever asked",
}
_OF_SWEEP = ("reference", "stop", "budget", "fidelity")  # without the `sweep.` before them
_SHORT = {"n": "limit", "l": "limit", "t": "backend.threads", "c": "backend.context", "p": "backend.slots"}


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a command, sorted: what names models, a sweep's name, and KEY=VALUE settings.

    `models` holds FILEs, NAMEs, `hf:OWNER/REPO/FILE`s and URLs; `name` is what the only one is to be called.
    """

    models: tuple[str, ...]
    sweep: str | None
    name: str | None
    settings: tuple[str, ...]


def read_words(command: str, words: Sequence[str]) -> Words:
    """Sort the words of `evalkit run` or `evalkit sweep`.

    Raises:
        UserError: an option of another tool, a second sweep, or a name without a model.
    """
    models: list[str] = []
    sweeps: list[str] = []
    labels: list[str] = []
    settings: list[str] = []
    for word in _joined(words):
        key, _, value = word.partition("=")
        if word.startswith("-"):
            raise UserError(_no_options(command, word, words))
        if word.startswith("~"):
            settings.append(word)
        elif not is_setting(word):
            for each in [word] if _is_address(word) else _models(word):
                (sweeps if each in names("sweep") else models).append(each)
        elif key in ("model", "+model") and value:
            models += _models(value)
        elif key in ("sweep", "+sweep") and value:
            sweeps.append(value)
        elif key == "name":
            labels.append(value)
        else:
            settings.append(f"sweep.{word}" if key in _OF_SWEEP else word)
    if sweeps and command != "sweep":
        raise UserError(f"'{printable(sweeps[0])}' is a sweep: evalkit sweep {printable(sweeps[0])}")
    if len(sweeps) > 1:
        shown = " and ".join(printable(each) for each in sweeps[:2])
        raise UserError(f"one sweep at a time: {shown} are two: leave one of them out")
    if labels and len(models) != 1:
        raise UserError("name=NAME is what one model is called here: give it with one FILE or URL")
    return Words(tuple(models), sweeps[0] if sweeps else None, labels[0] if labels else None, tuple(settings))


def is_setting(word: str) -> bool:
    """Whether a word is KEY=VALUE; an address with a query, or a file with such a name, is not."""
    return _SETTING.match(word) is not None and not _is_address(word) and not _is_file(word)


def _joined(words: Sequence[str]) -> list[str]:
    """`benchmark=finqa, tfns` is one setting, though the shell makes two words of it."""
    found: list[str] = []
    for word in words:
        if found and is_setting(found[-1]) and found[-1].endswith(",") and not _SETTING.match(word):
            found[-1] += word
        else:
            found.append(word)
    return [word.rstrip(",") if is_setting(word) else word for word in found]


def _models(value: str) -> list[str]:
    """`A,B` or `[A,B]`; a comma in the name of a file that is there separates nothing."""
    if _is_file(value):
        return [value]
    bare = value.removeprefix("[").removesuffix("]")
    return [each for part in bare.split(",") if (each := part.strip().strip("'\""))]


def _is_address(word: str) -> bool:
    return word.lower().startswith(("http://", "https://", "hf:"))


def _is_file(word: str) -> bool:
    try:
        return Path(word).expanduser().is_file()
    except OSError:  # too long for a name
        return False


def model_overrides(word: str, known: Iterable[str] = ()) -> list[str]:
    """The overrides that choose the model that a word names.

    Args:
        known: settings that may have been meant, for messages.

    Raises:
        UserError: it names none.
    """
    if word in names("model"):
        return [f"+model={word}"]
    if _is_address(word):
        return _address(word)
    path, suffix = Path(word).expanduser(), PurePath(word).suffix.lower()
    if path.is_dir():
        return _folder(word, path)
    if suffix == ".gguf":
        return ["+model=gguf", f"model.path={quoted(word)}"]
    if suffix == ".jsonl":
        return ["+model=replay", f"model.path={quoted(word)}", f"model.name={quoted(file_label(word))}"]
    if suffix in CHECKPOINT_FILES:
        raise UserError(not_gguf(word))
    if suffix in _OTHER_FILES:
        raise UserError(f"'{printable(word)}' {_OTHER_FILES[suffix]}: a model is a GGUF file here")
    if path.is_file():
        return ["+model=gguf", f"model.path={quoted(word)}"]
    raise UserError(_no_model(word, known))


def not_gguf(file: str) -> str:
    """What to do with weights that are not in a GGUF file."""
    return (
        f"{printable(file)} is part of a checkpoint, not a GGUF file: give its folder to run it on vLLM, "
        "or convert it with llama.cpp's convert_hf_to_gguf.py"
    )


def _folder(word: str, path: Path) -> list[str]:
    if (path / "config.json").is_file():
        return ["+model=gguf", "backend=vllm", f"model.path={quoted(word)}"]
    files = sorted(file.name for file in path.glob("*.gguf"))
    hint = f" (one of {', '.join(map(printable, files[:5]))})" if files else ", or a checkpoint's folder"
    raise UserError(f"'{printable(word)}' is a folder: name the GGUF file in it{hint}")


def _address(word: str) -> list[str]:
    if word.lower().startswith("hf:"):
        return _hub(word[3:].lstrip("/"))
    try:
        place = urlsplit(word)
        host = place.hostname
    except ValueError:
        host = None
    if not host:
        raise UserError(f"'{printable(public_url(word))}' is no address: write http://HOST:PORT/v1")
    file = unquote(place.path)
    page = _HUB_PAGE.fullmatch(file)
    if page and host in ("huggingface.co", "hf.co"):
        return _hub(f"{page[1]}/{page[3]}@{page[2]}")
    if host in ("huggingface.co", "hf.co"):
        return _hub(file.strip("/"))
    if file.lower().endswith(".gguf"):
        return ["+model=gguf", "model.path=null", f"model.source={{url: {quoted(word)}}}"]
    base = word if place.path.strip("/") else word.rstrip("/") + "/v1"
    return ["+model=endpoint", f"backend.base_url={quoted(base)}"]


def _hub(place: str) -> list[str]:
    """A file of a Hugging Face repository: OWNER/REPO/FILE, or OWNER/REPO/FILE@REVISION."""
    place, _, revision = place.partition("@")
    owner, _, rest = place.partition("/")
    repo, _, file = rest.partition("/")
    if not (owner and repo):
        raise UserError(
            f"'hf:{printable(place)}' is no file of a hub's repository: write hf:OWNER/REPO/FILE.gguf"
        )
    if not file:
        raise UserError(
            f"'hf:{printable(place)}' is a whole repository: name the file: hf:{printable(place)}/FILE.gguf "
            f"(https://huggingface.co/{printable(place)}/tree/main lists them)"
        )
    if not file.lower().endswith(".gguf"):
        raise UserError(f"'hf:{printable(place)}' is no GGUF file: write hf:OWNER/REPO/FILE.gguf")
    source = f"hf: {quoted(f'{owner}/{repo}')}, file: {quoted(file)}, revision: {quoted(revision or 'main')}"
    return ["+model=gguf", "model.path=null", f"model.source={{{source}}}"]


def _no_model(word: str, known: Iterable[str]) -> str:
    shown = printable(word)
    if word in names("benchmark"):
        return f"'{shown}' is a benchmark: write benchmark={shown}"
    for group in ("protocol", "data", "backend", "judge", "executor"):
        if word in names(group):
            return f"'{shown}' is no model: write {group}={shown}"
    if word.lstrip("+~") in known:
        return f"'{shown}' needs a value: write {shown}=VALUE"
    if re.fullmatch(r"[\w.-]+:\d+(?:/.*)?", word):
        return f"'{shown}' is an address without its scheme: write http://{shown}"
    if re.fullmatch(r"[\w.-]+/[\w.-]+(?::[\w.-]+)?", word):
        repo = word.partition(":")[0]
        return (
            f"no file '{shown}' here; if it is a repository on Hugging Face, name the file in it: "
            f"hf:{repo}/FILE.gguf"
        )
    if "/" in word or "\\" in word:
        return f"no file '{shown}': name a GGUF file, hf:OWNER/REPO/FILE.gguf or a URL"
    others = [*names("model"), *names("sweep"), *(path.name for path in _here())]
    hint = nearest(word, others)
    where = "" if hint else " (`evalkit models` lists the names)"
    return f"no model named '{shown}' and no such file.{hint}{where}"


def _here() -> list[Path]:
    """GGUF files in the current folder."""
    try:
        return sorted(Path().glob("*.gguf"))[:1000]
    except OSError:
        return []


def _no_options(command: str, word: str, words: Sequence[str]) -> str:
    """What an option of another tool is here."""
    name, _, value = word.lstrip("-").partition("=")
    name, shown = name.replace("_", "-"), printable(word)
    if name in _OPTIONS:
        return f"there is no {shown.partition('=')[0]}: {_OPTIONS[name]}"
    key = _SHORT.get(name) if not word.startswith("--") else None
    key = key or SYNONYMS.get(name.replace("-", "_")) or name.replace("-", "_")
    place = list(words).index(word) if word in words else -1
    following = words[place + 1] if 0 <= place < len(words) - 1 else ""
    if not value and following and not following.startswith("-") and not is_setting(following):
        value = following
    if not name:
        return f"cannot read '{shown}': settings are KEY=VALUE: see `evalkit {command} --help`"
    setting = f"{printable(key)}={printable(value) or 'VALUE'}"
    return f"there are no options like {shown.partition('=')[0]}: write {setting}"


_PART = re.compile(r"-\d{5}-of-\d{5}$")


def file_label(file: str) -> str:
    """What a model in a file of one's own is called: the file's stem, without the number of a part."""
    stem = PurePath(file.replace("\\", "/")).stem
    label = "".join(each if each.isprintable() else "�" for each in _PART.sub("", stem))[:100]
    return label if label.strip(". ") else "file"

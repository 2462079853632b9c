"""Next-token distributions of a GGUF file, from a child process with llama.cpp's library.

llama.cpp ends its process where it meets what it cannot handle, and files may be anybody's, so the library
never runs in this one. The child gets no secrets, is watched for its memory and its time, and ends with us.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import psutil

from evalkit.children.arrays import Broken, Content, read, write
from evalkit.engines.llama_cpp import llama_environment
from evalkit.engines.process import first_error
from evalkit.files import install_extra
from evalkit.schema import EngineUnusable, UserError
from evalkit.spawn import child_command, child_environment, usable_cores
from evalkit.text import file_size, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalkit.config.options import Arguments
    from evalkit.weights.gguf import GGUFHeader

BATCH = 512
"""Tokens that are computed together: llama.cpp's own default of n_ubatch."""

CONTEXT_STEP = 256
"""llama.cpp pads a context to this many tokens."""

_SECONDS = 600.0  # for one answer, or to load a file
_SECONDS_PER_TOKEN = 2.0  # of an answer and its prompt; the slowest machines take a tenth of that
_SPARE_BYTES = 2 << 30  # beside the weights (twice, as some are rearranged) and the cache
_WATCH_SECONDS = 0.2
_TEXTS_TOGETHER = 256
_MOST_LAYERS = 10_000


@dataclass(frozen=True, slots=True)
class Options:
    """How a file is opened. `context` in tokens; 0: only the vocabulary. `gpu_layers` -1: all."""

    model: str
    context: int
    threads: int
    batch: int = BATCH
    gpu_layers: int = -1
    flash_attention: str = "off"


@dataclass(frozen=True, slots=True)
class Opening:
    """How a model is opened to be measured, whatever its engine.

    `context` in tokens; `threads` of the processor; `gpu_layers` -1: all; `top`: of the likeliest tokens of a
    place, how many may be asked for.
    """

    context: int
    threads: int
    gpu_layers: int
    top: int


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Tokens of a text and the bytes each stands for. `faithful`: together they give the text back."""

    tokens: tuple[int, ...]
    sizes: tuple[int, ...]
    faithful: bool


@dataclass(frozen=True, slots=True)
class Forced:
    """What a file is asked: `tokens` (prompt and answer), and of them the first row that is wanted.

    Row `start + i` predicts token `start + i + 1`; the last row predicts the likeliest of `last`. A batch
    ends at each of `cuts`.
    """

    tokens: Sequence[int]
    start: int
    last: Sequence[int]
    cuts: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """Distributions of n predicted tokens, k tokens of each kept.

    Attributes:
        ids: (n, k) int32, the tokens kept; the likeliest of the reference, in its order.
        logp: (n, k) float32, their log-probabilities, natural.
        rest: (n,) the probability of all others.
        best: (n,) int32, the likeliest token.
        targets: (n,) int32, the answer's token.
        taken: (n,) its log-probability.
    """

    ids: NDArray[np.int32]
    logp: NDArray[np.float32]
    rest: NDArray[np.float64]
    best: NDArray[np.int32]
    targets: NDArray[np.int32]
    taken: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Computed:
    """Rows and what they cost: tokens that were computed and that were in the cache, and seconds."""

    rows: Rows
    computed: int
    reused: int
    seconds: float


Prompt = tuple[tuple[str, str], ...]
"""Role and content of each message."""


class Distributions(Protocol):
    """A model that is open. `ends`: the tokens that end an answer."""

    ends: list[int]

    def top(self, forced: Forced, count: int) -> Computed:
        """The `count` likeliest tokens of every row."""
        ...

    def at(self, forced: Forced, ids: NDArray[np.int32]) -> Computed:
        """The probabilities of the tokens `ids`, (n, k), of the rows; NaN for those that are not known."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Compared(Protocol):
    """A model on this machine whose distributions can be had. `notes`: what about it may mislead."""

    @property
    def path(self) -> Path: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def notes(self) -> tuple[str, ...]: ...

    def open(self, opening: Opening, log: Path) -> Distributions:
        """Raises UserError if it cannot be opened."""
        ...


class Reference(Compared, Protocol):
    """The model that made a run.

    `library`: the engine's name and version; UserError if it is not installed. `conditions`: what beside the
    weights and the library decides its distributions.
    """

    @property
    def library(self) -> str: ...
    @property
    def conditions(self) -> dict[str, object]: ...

    def tokens_of(
        self, prompts: Sequence[Prompt], texts: Sequence[str], log: Path
    ) -> tuple[list[tuple[int, ...]], list[Tokenized]]:
        """Of prompts as the server tokenizes them that generates; of texts, without what begins or ends a
        document."""
        ...

    def pieces(self, tokens: Sequence[int], log: Path) -> list[str]:
        """The text of each token."""
        ...

    def compared(self, path: Path, longest: int, context: int | None) -> Compared:
        """What is at `path`, to be held against this. Raises UserError if it cannot be."""
        ...


def require_library() -> str:
    """The engine's name and version.

    Raises:
        UserError: it is not installed.
    """
    if importlib.util.find_spec("llama_cpp") is None:
        raise UserError(f"fidelity needs llama.cpp's library: {install_extra('quantize,gguf')}")
    return f"llama-cpp-python {importlib.metadata.version('llama-cpp-python')}"


def default_threads() -> int:
    """Physical cores that this process may run on."""
    return usable_cores()


@contextlib.contextmanager
def ends_are_said(resumable: bool) -> Iterator[None]:
    """An engine that is of no use any more ends a command with a line.

    Args:
        resumable: whether what was computed is kept.

    Raises:
        UserError: in place of `EngineUnusable`.
    """
    try:
        yield
    except EngineUnusable as error:
        more = "; what was computed is kept, the same command goes on" if resumable else ""
        raise UserError(f"{error}{more}") from error


def threads(given: Arguments) -> int:
    """The setting of that name of a command; without one, the cores."""
    return given.optional_whole("threads") or default_threads()


def gpu_layers(given: Arguments) -> int:
    """The setting of that name of a command.

    Raises:
        UserError: it is neither -1 nor a number of layers.
    """
    return -1 if given.text("gpu_layers") == "-1" else given.whole("gpu_layers", least=0, most=_MOST_LAYERS)


class LogProbs:
    """A file in a child process.

    Args:
        header: of the file; it bounds the memory.
        log: where llama.cpp's output goes.

    Raises:
        UserError: llama.cpp cannot open the file.
        EngineUnusable: the child was killed, or took too long or too much.
    """

    def __init__(self, header: GGUFHeader, options: Options, log: Path) -> None:
        self.name = header.path.name
        self._log = log
        self._excess = ""
        self._deadline: float | None = None  # None while nothing is asked
        self._deadline = time.monotonic() + _SECONDS
        self._memory = 2 * header.file_size + _SPARE_BYTES + _cache_bytes(header, options.context)
        self._log_start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                child_command("evalkit.children.logprobs"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=child_environment(llama_environment()),
                start_new_session=True,  # a Ctrl-C in the terminal is for us alone
            )
        threading.Thread(target=self._watch, daemon=True).start()
        facts = self._ask(Content(asdict(options))).head
        self.ends: list[int] = [int(token) for token in facts["ends"]]
        self.bos: int | None = facts["bos"]
        self.vocabulary = int(facts["vocabulary"])

    def tokenize(self, texts: Sequence[str]) -> list[Tokenized]:
        """The tokens of texts, without what begins or ends a document; no special token is read in them."""
        found: list[Tokenized] = []
        for at in range(0, len(texts), _TEXTS_TOGETHER):
            some = list(texts[at : at + _TEXTS_TOGETHER])
            content = self._ask(Content({"do": "tokenize", "texts": some}))
            tokens, sizes = content.arrays["tokens"].tolist(), content.arrays["bytes"].tolist()
            place = 0
            for count, faithful in zip(
                content.arrays["counts"].tolist(), content.head["faithful"], strict=True
            ):
                upto = place + count
                found.append(Tokenized(tuple(tokens[place:upto]), tuple(sizes[place:upto]), bool(faithful)))
                place = upto
        return found

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """The text of each token; what is no whole character is replaced. Special tokens have none."""
        import numpy as np

        content = Content({"do": "pieces"}, {"tokens": np.asarray(tokens, dtype="<i4")})
        return [str(piece) for piece in self._ask(content).head["pieces"]]

    def top(self, forced: Forced, count: int) -> Computed:
        """The `count` likeliest tokens of every row."""
        return self._score(forced, {"top": count}, None)

    def at(self, forced: Forced, ids: NDArray[np.int32]) -> Computed:
        """The probabilities of the tokens `ids`, (n, k), of the rows."""
        return self._score(forced, {}, ids)

    def _score(self, forced: Forced, more: dict[str, Any], ids: NDArray[np.int32] | None) -> Computed:
        import numpy as np

        head = {
            "do": "score",
            "start": forced.start,
            "last": list(forced.last),
            "cuts": list(forced.cuts),
            **more,
        }
        arrays: dict[str, NDArray[Any]] = {"tokens": np.asarray(forced.tokens, dtype="<i4")}
        if ids is not None:
            arrays["ids"] = ids
        started = time.monotonic()
        content = self._ask(Content(head, arrays), _SECONDS + _SECONDS_PER_TOKEN * len(forced.tokens))
        found = content.arrays
        rows = Rows(
            ids=found["ids"] if ids is None else ids,
            logp=found["logp"],
            rest=found["rest"],
            best=found["best"],
            targets=found["targets"],
            taken=found["taken"],
        )
        if rows.logp.shape != rows.ids.shape or len(rows.targets) != len(forced.tokens) - forced.start:
            raise EngineUnusable(f"{self.name}: the child answered something else than it was asked")
        cost = content.head
        return Computed(rows, int(cost["computed"]), int(cost["reused"]), time.monotonic() - started)

    def _ask(self, content: Content, seconds: float = _SECONDS) -> Content:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._deadline = time.monotonic() + seconds
        try:
            write(self._process.stdin, content)
            found = read(self._process.stdout)
        except (OSError, Broken):
            found = None
        self._deadline = None
        if found is None:
            raise self._failure()
        return found

    def _failure(self) -> Exception:
        """Why the child is gone. One that gave up by itself was asked for something impossible."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self.close()
        code = self._process.returncode
        if self._excess:
            return EngineUnusable(f"{self.name}: llama.cpp was ended: {self._excess} (log: {self._log})")
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        line = f"{self.name}: {printable(first_error(lines), 300)} (log: {self._log})"
        return UserError(line) if code > 0 else EngineUnusable(line)

    def _watch(self) -> None:
        while self._process.poll() is None:
            with contextlib.suppress(psutil.Error):
                if psutil.Process(self._process.pid).memory_info().rss > self._memory:
                    self._excess = f"it took more than {file_size(self._memory)} of memory"
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                self._excess = "it did not answer in time"
            if self._excess:
                self._kill()
                return
            time.sleep(_WATCH_SECONDS)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the child; safe to call at any time."""
        if self._process.poll() is None:
            self._kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def __enter__(self) -> LogProbs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _cache_bytes(header: GGUFHeader, context: int) -> int:
    from evalkit.weights.gguf import geometry, kv_bytes_per_token

    return 2 * context * (kv_bytes_per_token(geometry(header), 2) or 1 << 20)

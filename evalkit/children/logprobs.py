"""The child process that computes next-token distributions of a GGUF file, with llama.cpp's library.

    python -m evalkit.children.logprobs

reads messages of `evalkit.children.arrays` from standard input and answers each with one on standard output,
until its input closes. llama.cpp's log goes to standard error. The first message opens the file, with the
fields of `evalkit.fidelity.engine.Options`. Then

- `tokenize`: the tokens of `texts`, and the bytes of each token's piece;
- `pieces`: the texts of the tokens in the array `tokens`, one by one;
- `score`: of the array `tokens`, the distributions that follow its tokens `start` and later, each row of
  which predicts the next token. Only those rows are computed up to the output matrix. Without the array `ids`
  the `top` likeliest tokens of each row come back, with it those tokens. What the last row predicts is the
  likeliest of `last`: the end of an answer may be any token that ends one.

What of `tokens` is in the cache from the message before is not computed again, up to the last of `cuts`
within it. The cuts also end every batch, so that a token's logits do not depend on what was asked before.
"""

from __future__ import annotations

import ctypes
import importlib
import itertools
import os
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

from evalkit.children.arrays import Content, read, write
from evalkit.children.watchdog import die_with_parent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Row = NDArray[np.float32]

_LOGIT_BYTES = 64 << 20  # of the rows that one batch may ask for
_LARGEST_PIECE = 1 << 16


class Model:
    """An open file and its cache. Raises RuntimeError where llama.cpp refuses."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._llama: Any = importlib.import_module("llama_cpp")  # its types come and go with the package
        # llama.cpp's own log, instead of the package's callback into Python for every piece of a line.
        self._llama.llama_log_set(self._llama.llama_log_callback(), None)
        params = self._llama.llama_model_default_params()
        params.n_gpu_layers = options["gpu_layers"]
        params.vocab_only = not options["context"]
        self._model = self._llama.llama_model_load_from_file(os.fsencode(options["model"]), params)
        if not self._model:
            raise RuntimeError("llama.cpp cannot load this file")
        self._vocab = self._llama.llama_model_get_vocab(self._model)
        self.vocabulary = int(self._llama.llama_vocab_n_tokens(self._vocab))
        self._cached: list[int] = []
        self._batch_tokens = int(options["batch"])
        if options["context"]:
            self._open_context(options)

    def _open_context(self, options: dict[str, Any]) -> None:
        params = self._llama.llama_context_default_params()
        params.n_ctx = options["context"]
        params.n_batch = params.n_ubatch = self._batch_tokens
        params.n_threads = params.n_threads_batch = options["threads"]
        params.flash_attn_type = {"off": 0, "on": 1, "auto": -1}[options["flash_attention"]]
        params.n_seq_max = 1
        params.swa_full = True  # else a prefix could not be kept behind a sliding window
        self._context = self._llama.llama_init_from_model(self._model, params)
        if not self._context:
            raise RuntimeError("llama.cpp cannot make a context of this size")
        self._memory = self._llama.llama_get_memory(self._context)
        self._batch = self._llama.llama_batch_init(self._batch_tokens, 0, 1)
        self._rows = max(1, min(self._batch_tokens, _LOGIT_BYTES // (4 * self.vocabulary)))

    def facts(self) -> dict[str, Any]:
        """What a caller must know of the vocabulary: tokens that end an answer, and the one that begins."""
        llama, vocab = self._llama, self._vocab
        ends = [token for token in range(self.vocabulary) if llama.llama_vocab_is_eog(vocab, token)]
        begins = bool(llama.llama_vocab_get_add_bos(vocab))
        return {
            "vocabulary": self.vocabulary,
            "ends": ends,
            "bos": int(llama.llama_vocab_bos(vocab)) if begins else None,
        }

    def tokenize(self, text: str) -> tuple[list[int], list[int]]:
        """The tokens of a text and the bytes that each stands for; no special token is read out of it."""
        raw = text.encode()
        room = len(raw) + 16
        found = (ctypes.c_int32 * room)()
        count = self._llama.llama_tokenize(self._vocab, raw, len(raw), found, room, False, False)
        if count < 0:
            raise RuntimeError("llama.cpp cannot tokenize this text")
        tokens = list(found[:count])
        return tokens, [len(self.piece(token)) for token in tokens]

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for."""
        size = 64
        while size <= _LARGEST_PIECE:
            room = ctypes.create_string_buffer(size)
            count = self._llama.llama_token_to_piece(self._vocab, token, room, size, 0, False)
            if count >= 0:
                return room.raw[:count]
            size = max(2 * size, -count)
        raise RuntimeError("llama.cpp has a token of more than 64 KiB")

    def text_of(self, tokens: list[int]) -> bytes:
        """The bytes that tokens stand for."""
        return b"".join(map(self.piece, tokens))

    def score(self, head: dict[str, Any], tokens: list[int], ids: NDArray[np.int32] | None) -> Content:
        """See the module's docstring."""
        start = int(head["start"])
        shared = 0
        for one, other in zip(self._cached, tokens, strict=False):
            if one != other:
                break
            shared += 1
        cuts = [int(cut) for cut in head["cuts"]]
        reused = max((cut for cut in cuts if cut <= min(shared, start)), default=0)
        self._llama.llama_memory_seq_rm(self._memory, 0, reused, -1)
        self._cached = self._cached[:reused]
        rows = _Rows(head, tokens, ids)
        for first, last in self._pieces(reused, len(tokens), start, cuts):
            logits = self._decode(tokens, first, last, start)
            if logits is not None:
                rows.add(logits)
        self._cached = list(tokens)
        return rows.content({"computed": len(tokens) - reused, "reused": reused})

    def _pieces(self, reused: int, end: int, start: int, cuts: list[int]) -> list[tuple[int, int]]:
        """The batches: none goes over a cut, has too many tokens, or too many rows from `start` on."""
        bounds = [reused, *(cut for cut in cuts if reused < cut < end), end]
        pieces = []
        for low, high in itertools.pairwise(bounds):
            at = low
            while at < high:
                upto = min(high, at + self._batch_tokens, max(at, start) + self._rows)
                pieces.append((at, upto))
                at = upto
        return pieces

    def _decode(self, tokens: list[int], first: int, last: int, start: int) -> Row | None:
        import numpy as np

        batch = self._batch
        batch.n_tokens = last - first
        for place, position in enumerate(range(first, last)):
            batch.token[place] = tokens[position]
            batch.pos[place] = position
            batch.n_seq_id[place] = 1
            batch.seq_id[place][0] = 0
            batch.logits[place] = position >= start
        code = self._llama.llama_decode(self._context, batch)
        if code:
            raise RuntimeError(f"llama.cpp cannot compute a batch (llama_decode: {code})")
        count = last - max(first, start)
        if count <= 0:
            return None
        pointer = self._llama.llama_get_logits(self._context)
        # Valid until the next batch.
        return np.ctypeslib.as_array(pointer, shape=(count, self.vocabulary))


class _Rows:
    """Collects what is wanted of the rows of logits."""

    def __init__(self, head: dict[str, Any], tokens: list[int], ids: NDArray[np.int32] | None) -> None:
        self._top = int(head.get("top", 0))
        self._start = int(head["start"])
        self._tokens = tokens
        self._last: list[int] = head["last"]
        self._ids = ids
        self._done = 0
        self._found: dict[str, list[Any]] = {name: [] for name in ("ids", "logp", "rest", "best", "taken")}
        self._targets: list[int] = []

    def add(self, logits: Row) -> None:
        for row in logits:
            self._one(row)
            self._done += 1

    def _one(self, row: Row) -> None:
        """One distribution: float32 logits and exponentials, summed in float64."""
        import numpy as np

        most = row.max()
        weights = np.exp(row - most)
        total = weights.sum(dtype=np.float64)
        if not np.isfinite(total):
            raise RuntimeError("the file's logits are not numbers")
        log_total = float(most) + float(np.log(total))
        if self._ids is not None:
            ids = self._ids[self._done]
        else:
            count = min(self._top, row.size)
            ids = np.argpartition(row, row.size - count)[row.size - count :] if count < row.size else None
            ids = np.arange(row.size) if ids is None else ids
            ids = ids[np.argsort(-row[ids], kind="stable")].astype(np.int32)
        kept = weights[ids].sum(dtype=np.float64)
        self._found["ids"].append(ids)
        self._found["logp"].append((row[ids].astype(np.float64) - log_total).astype(np.float32))
        self._found["rest"].append(max(0.0, 1.0 - kept / total))
        self._found["best"].append(int(row.argmax()))
        target = self._target(row)
        self._targets.append(target)
        self._found["taken"].append(float(row[target]) - log_total)

    def _target(self, row: Row) -> int:
        place = self._start + self._done + 1
        if place < len(self._tokens):
            return self._tokens[place]
        return max(self._last, key=row.__getitem__)

    def content(self, head: dict[str, Any]) -> Content:
        import numpy as np

        found = self._found
        arrays: dict[str, NDArray[Any]] = {
            "logp": np.array(found["logp"], dtype="<f4"),
            "rest": np.array(found["rest"], dtype="<f8"),
            "best": np.array(found["best"], dtype="<i4"),
            "taken": np.array(found["taken"], dtype="<f8"),
            "targets": np.array(self._targets, dtype="<i4"),
        }
        if self._ids is None:
            arrays["ids"] = np.array(found["ids"], dtype="<i4")
        return Content(head, arrays)


def answer(model: Model, content: Content) -> Content:
    """What a message asks for."""
    import numpy as np

    head = dict(content.head)
    if head["do"] == "tokenize":
        found = [model.tokenize(text) for text in head["texts"]]
        faithful = [
            model.text_of(tokens) == text.encode()
            for text, (tokens, _) in zip(head["texts"], found, strict=True)
        ]
        arrays = {
            "counts": np.array([len(tokens) for tokens, _ in found], dtype="<i4"),
            "tokens": np.array([token for tokens, _ in found for token in tokens], dtype="<i4"),
            "bytes": np.array([size for _, sizes in found for size in sizes], dtype="<i4"),
        }
        return Content({"faithful": faithful}, arrays)
    if head["do"] == "pieces":
        pieces = [model.piece(token).decode(errors="replace") for token in content.arrays["tokens"].tolist()]
        return Content({"pieces": pieces})
    return model.score(head, content.arrays["tokens"].tolist(), content.arrays.get("ids"))


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer messages until there is none."""
    opening = read(source)
    if opening is None:
        return
    model = Model(dict(opening.head))
    write(sink, Content(model.facts()))
    while (content := read(source)) is not None:
        write(sink, answer(model, content))


def main() -> int:
    """Serve one file until the parent goes."""
    die_with_parent()
    # What a library prints must not stand between messages.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        serve(sys.stdin.buffer, sink)
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201 - the child's log
        os._exit(3)
    os._exit(0)  # there is nothing to save, and tearing llama.cpp down takes its time


if __name__ == "__main__":
    sys.exit(main())

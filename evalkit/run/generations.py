"""generations.jsonl: the answers of a run, append-only, one JSON line each, chained by hashes.

Each line ends in two fields beside the answer's own: `after`, the link of the line before, and `link`, a hash
of the answer and of `after`. So an answer that was changed after it was written no longer has its link, and
one that was removed, added or moved leaves a line that follows nothing. Reading names the first such answer.
The last link and the number of answers (`Seal`) stand in run.json and in the record's head, so that answers
taken from the end are missed as well. There is no key in it: whoever makes all links anew, in run.json too,
is found out only by a record that was kept elsewhere.

Lines of older versions have no links. They are read as ever, and what is appended to them counts them in.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.files import write_bytes
from evalkit.schema import Answer, Name, UserError
from evalkit.text import mapping, printable, shown

GENERATIONS = "generations.jsonl"
_LINK = re.compile(r"[0-9a-f]{32}")
_FIRST = ""  # what the first line is after


@dataclass(frozen=True, slots=True)
class Seal:
    """How many answers there are, and the last one's link; "" if there are none."""

    count: int
    link: str

    def as_json(self) -> dict[str, Any]:
        return {"count": self.count, "link": self.link}


@dataclass(frozen=True, slots=True)
class Broken:
    """An answer that is not as it was written, or not where. `line` counts from 1."""

    line: int
    name: Name
    changed: bool

    @property
    def reason(self) -> str:
        """What happened to it, in words."""
        benchmark, id_, turn, sample = self.name
        which = "".join((f" turn {turn}" if turn is not None else "", f" sample {sample}" if sample else ""))
        answer = f"the answer to {shown(benchmark)} {shown(id_)}{which} (line {self.line})"
        if self.changed:
            return f"{answer} was changed after it was written"
        return f"{answer} does not follow the one before it: one was removed, added or moved there"


@dataclass(frozen=True, slots=True)
class Generations:
    """The answers of a file in its order, each answer's link, and where the chain is broken.

    `linked`: how many lines have links of their own; the others' are computed.
    """

    answers: list[Answer]
    links: list[str]
    broken: list[Broken]
    linked: int

    @property
    def seal(self) -> Seal:
        return Seal(len(self.links), self.links[-1] if self.links else _FIRST)


def link_of(after: str, answer: Answer) -> str:
    """The link of an answer that follows the line with link `after`: 128 bits of a sha256, in hex.

    It is of the answer's fields, so spaces and escapes of the line may change.
    """
    return _link(after, _content(answer))


def _content(answer: Answer) -> str:
    return answer.line()[:-2]  # without its closing bracket and end


def _link(after: str, content: str) -> str:
    return hashlib.sha256(f"{after}\n{content}".encode()).hexdigest()[:32]


def line_of(after: str, answer: Answer) -> tuple[str, str]:
    """The line of an answer that follows `after`, and its link."""
    content = _content(answer)
    link = _link(after, content)
    return f'{content}, "after": "{after}", "link": "{link}"}}\n', link


def read_generations(path: Path) -> list[Answer]:
    """The answers in `path`, in file order; none if there is no file.

    Raises:
        UserError: a line is not a record, or an answer was changed, removed, added or moved.
    """
    found = read_chain(path)
    require_unbroken(path, found)
    return found.answers


def require_unbroken(path: Path, found: Generations) -> None:
    """Raises UserError for the first answer that was changed, removed, added or moved."""
    if found.broken:
        raise UserError(f"{path}: {found.broken[0].reason}: {_how_to_go_on(path)}")


def _how_to_go_on(path: Path) -> str:
    return (
        f"put the file back as it was, or `evalkit verify {path.parent} mend=true` drops what was "
        "changed, and the run's command asks it again"
    )


def read_chain(path: Path) -> Generations:
    """The answers in `path` and what became of their chain.

    A last line without its end is what a kill leaves behind: it never counted, and is not returned. The same
    line twice counts once.

    Raises:
        UserError: a line is not a record.
    """
    found = Generations([], [], [], 0)
    names: dict[Name, Answer] = {}
    seen: set[str] = set()
    linked, previous = 0, _FIRST
    for number, line in _lines(path):
        try:
            answer, after, link = _parse(json.loads(line.decode()))
            if names.get(answer.name) == answer and (not link or link in seen):
                continue  # the same line again
            if names.setdefault(answer.name, answer) is not answer:
                raise ValueError("another answer to the question of an earlier line")
            right = link_of(after if link else previous, answer)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(
                f"{path}: line {number} is not a generation record ({printable(repr(error))}): "
                "mend or remove that line, or use another run_dir"
            ) from error
        changed = bool(link) and link != right
        if changed or (link and after != previous) or (linked and not link):
            found.broken.append(Broken(number, answer.name, changed))
        previous = link or right
        linked += bool(link)
        seen.add(previous)
        found.answers.append(answer)
        found.links.append(previous)
    return Generations(found.answers, found.links, found.broken, linked)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The whole lines of a file with their numbers from 1."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            yield number, line


def _parse(fields: Any) -> tuple[Answer, str, str]:  # noqa: ANN401 - whatever the line holds
    """The answer of a line, and its `after` and `link`: both "" if it has none."""
    record = Answer(**{name: fields[name] for name in Answer.__slots__})
    for name, kinds in _FIELDS.items():
        value = getattr(record, name)
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise TypeError(f"{name} is a {type(value).__name__}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} is {value}")
    if not record.messages or not all(
        isinstance(message[name], str) for message in record.messages for name in ("role", "content")
    ):
        raise TypeError("messages are not texts with roles")
    if "link" not in fields:
        return record, "", ""
    after, link = fields.get("after"), fields["link"]
    if not (_is_link(link) and (after == _FIRST or _is_link(after))):
        raise ValueError("its link is none")
    return record, after, link


def _is_link(value: object) -> bool:
    return isinstance(value, str) and _LINK.fullmatch(value) is not None


_NOTHING = type(None)
_FIELDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("key", "benchmark", "id", "group"), (str,)),
    **dict.fromkeys(("text", "finish_reason", "error"), (str, _NOTHING)),
    **dict.fromkeys(("turn", "prompt_tokens", "cached_tokens", "completion_tokens"), (int, _NOTHING)),
    **dict.fromkeys(("prefill_s", "decode_s"), (int, float, _NOTHING)),
    "sample": (int,),
    "latency_s": (int, float),
    "messages": (list,),
}


def seal_of(run: Mapping[str, Any]) -> Seal | None:
    """The seal in a run.json or in a record's head; None if it has none, as before there were seals."""
    block = mapping(run.get("answers"))
    count, link = block.get("count"), block.get("link")
    if isinstance(count, int) and not isinstance(count, bool) and count > 0 and _is_link(link):
        return Seal(count, str(link))
    return None


def sealed(seal: Seal, earlier: Mapping[str, Any]) -> dict[str, Any]:
    """The block of run.json on its answers: their seal, and where somebody had the chain mended.

    Args:
        earlier: run.json as it was.
    """
    mended = mapping(earlier.get("answers")).get("mended")
    return {"answers": {**seal.as_json(), **({"mended": mended} if mended else {})}}


def mended_line(run: Mapping[str, Any]) -> str | None:
    """What the reader of a run's results must know, if its chain of answers was ever mended."""
    mended = mapping(run.get("answers")).get("mended")
    if not isinstance(mended, list):
        return None
    lists = [mapping(each).get("dropped") for each in mended]
    dropped = sum(len(names) for names in lists if isinstance(names, list))
    return f"the chain of answers was broken and mended {len(mended)} times, {dropped} answers asked again"


def unsealed(run: Mapping[str, Any]) -> dict[str, Any]:
    """The same block while the answers are written anew."""
    return {"answers": {k: v for k, v in mapping(run.get("answers")).items() if k == "mended"}}


def require_sealed(path: Path, found: Generations, seal: Seal | None, *, all_of_them: bool) -> None:
    """That the answers in `path` are those that run.json says were written, or these and more.

    Args:
        all_of_them: whether answers may be missing at the end, as those are asked again.

    Raises:
        UserError: they are not.
    """
    if seal is None:
        return
    lost = seal.count - len(found.links)
    if lost > 0:
        if all_of_them:
            raise UserError(
                f"{path}: {lost} answers are gone from its end since they were written: "
                "the run's command asks them again"
            )
    elif found.links[seal.count - 1] != seal.link:
        raise UserError(
            f"{path}: its answers are not those that run.json says were written: {_how_to_go_on(path)}"
        )


def rewrite(path: Path, records: Iterable[Answer]) -> None:
    """Replace the content of `path` by these records in a new chain, all or nothing."""
    lines, link = [], _FIRST
    for record in records:
        line, link = line_of(link, record)
        lines.append(line)
    write_bytes(path, "".join(lines).encode())


class Writer:
    """Appends records to the chain of a file; each is on disk when `append` returns.

    Args:
        path: made if it is not there; its last line is whole.
    """

    def __init__(self, path: Path) -> None:
        self.seal = read_chain(path).seal
        self._file = path.open("ab")

    def append(self, records: Iterable[Answer]) -> None:
        lines, link, count = [], self.seal.link, self.seal.count
        for record in records:
            line, link = line_of(link, record)
            lines.append(line)
            count += 1
        self._file.write("".join(lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self.seal = Seal(count, link)

    def close(self) -> None:
        self._file.close()

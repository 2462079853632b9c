"""What a run has so far: the records on disk, and the messages and keys of what is still to come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from evalkit.backends.engine import Sampling
from evalkit.errors import UserError
from evalkit.example import Message, OwnAnswer
from evalkit.runner.folder import RunFolder
from evalkit.runner.record import Generation, read_generations, rewrite
from evalkit.runner.request import Name, Request, generation_key, messages_of, seeded
from evalkit.runner.settings import sampling


class Answers:
    """What is known of each request: its record once finished, else its messages and key."""

    def __init__(
        self,
        records: Iterable[Generation],
        identity: Mapping[str, Any],
        sampling: Sampling,
        system: str | None,
    ) -> None:
        self._records = {record.name: record for record in records}
        self._identity = identity
        self._sampling = sampling
        self._system = system
        self._texts: dict[Name, str | None] = {name: r.text for name, r in self._records.items()}

    def messages(self, request: Request) -> tuple[Message, ...] | None:
        return messages_of(request, self._system, self._texts)

    def draft(self, request: Request) -> tuple[Message, ...]:
        """The request's messages, with nothing where an answer of its dialogue is still to come."""
        known = self.messages(request)
        if known is not None:
            return known
        empty = tuple(
            Message("assistant", "") if isinstance(message, OwnAnswer) else message
            for message in request.example.messages
        )
        draft = messages_of(
            replace(request, example=replace(request.example, messages=empty)), self._system, {}
        )
        assert draft is not None, "nothing is left to wait for"
        return draft

    def sampling(self, request: Request) -> Sampling:
        return seeded(self._sampling, request)

    def key(self, request: Request, messages: tuple[Message, ...]) -> str:
        return generation_key(self._identity, messages, self.sampling(request), request.sample)

    def record(self, request: Request) -> Generation | None:
        return self._records.get(request.name)

    def add(self, record: Generation) -> None:
        self._records[record.name] = record
        self._texts[record.name] = record.text

    @property
    def records(self) -> list[Generation]:
        return list(self._records.values())

    def lacks_history(self, request: Request) -> bool:
        """Whether an earlier turn that the request needs failed: then this one must wait for it, too."""
        turns = (m.turn for m in request.example.messages if isinstance(m, OwnAnswer))
        benchmark, id_, _, sample = request.name
        earlier = (self._records.get((benchmark, id_, turn, sample)) for turn in turns)
        return any(record is not None and not record.is_final for record in earlier)

    def stale(self, requests: Iterable[Request]) -> int:
        """How many records bear the name of a wanted request and were made from something else."""
        wrong = 0
        for request in requests:
            record, messages = self.record(request), self.messages(request)
            if record is not None and (messages is None or self.key(request, messages) != record.key):
                wrong += 1
        return wrong


def kept_records(folder: RunFolder) -> list[Generation]:
    """The run's finished records; an unfinished line and the engine's own failures are cleared away."""
    records = read_generations(folder.generations)
    final = [record for record in records if record.is_final]
    if folder.generations.exists():
        rewrite(folder.generations, final)
    return final


def open_answers(
    config: Mapping[str, Any], identity: Mapping[str, Any], folder: RunFolder, requests: Sequence[Request]
) -> Answers:
    """The answers that the run in `folder` has so far, checked against what it wants.

    Raises:
        UserError: records there were made from other weights, prompts or data.
    """
    answers = Answers(kept_records(folder), identity, sampling(config), config["protocol"]["system"])
    stale = answers.stale(requests)
    if stale:
        raise UserError(
            f"{folder.path}: {stale} generations there were made from other weights, prompts or data: "
            "give another run_dir, or remove the folder"
        )
    return answers

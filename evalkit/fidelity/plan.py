"""What of a reference run is put to every file: the tokens of each prompt and of the reference's own answer.

Prompts are rendered and tokenized by the server that generated, with the same chat template, and held against
the token counts that the run recorded. The answer's text is tokenized by itself, as generation put it after
the prompt; its end counts as one more token where the model ended it. A run keeps texts and not tokens: the
tokenizer may make other tokens of a text than it was generated as, most of all where it was cut off, and
answers for which the counts say so are counted.

Sequences are sorted, so that what two of them share is computed once. Where they part is a cut: every batch
ends there, and so a distribution does not depend on which others were asked before, or in another session.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.fidelity.engine import CONTEXT_STEP, Forced, Prompt, Reference
from evalkit.run.info import Run
from evalkit.schema import Item, Message, Name, Sample, UserError, rank
from evalkit.text import named, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHORTEST_PIECE = 32
"""Tokens. A batch costs as much as reading all weights: it is not worth one to reuse fewer."""


@dataclass(frozen=True, slots=True)
class ForcedAnswer:
    """An answer of the reference as tokens.

    `sizes` are the bytes of `text` that each token of `answer` stands for. `ended`: the model ended it
    itself, so that there is one more token to predict. `recounted`: the run counted other tokens, so that
    these are not what it generated.
    """

    name: Name
    group: str
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    sizes: tuple[int, ...]
    ended: bool
    text: str
    cuts: tuple[int, ...] = ()
    recounted: bool = False

    @property
    def predicted(self) -> int:
        """How many tokens are predicted."""
        return len(self.answer) + self.ended

    @property
    def fed(self) -> tuple[int, ...]:
        """The tokens that something is predicted after."""
        return self.prompt + (self.answer if self.ended else self.answer[:-1])

    def forced(self, last: Sequence[int]) -> Forced:
        """As a file is asked; `last`: what may end an answer."""
        wanted = last if self.ended else self.answer[-1:]
        return Forced(self.fed, len(self.prompt) - 1, wanted, self.cuts)

    @property
    def key(self) -> str:
        """A text that names it and its tokens: what was computed under it is of these and no others."""
        content = json.dumps([self.name, self.prompt, self.answer, self.ended])
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Plan:
    """All answers, sorted by their tokens, and what was left out of the run.

    `failed`: the engine gave no answer. `strange`: the tokenizer does not give the text back, or there is no
    token to predict. `recounted`: the run counted other tokens than the tokenizer makes of the text.
    """

    answers: tuple[ForcedAnswer, ...]
    failed: int
    strange: int
    recounted: int

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt with its answer."""
        return max(len(answer.fed) for answer in self.answers)

    @property
    def context(self) -> int:
        """`longest` as llama.cpp pads it."""
        return -(-self.longest // CONTEXT_STEP) * CONTEXT_STEP

    @property
    def distinct_prompt_tokens(self) -> int:
        """Prompt tokens that had to be computed if nothing were computed twice."""
        return distinct([answer.prompt for answer in self.answers])


GGUF_RUNS = {"llama.cpp": "a GGUF file under llama.cpp"}
"""Runs that fidelity takes, by engine, in words."""

ALL_RUNS = {**GGUF_RUNS, "vllm": "a checkpoint under vLLM"}


def check_reference(run: Run, engines: Mapping[str, str] = GGUF_RUNS) -> None:
    """Refuse a run that has nothing to hold a file against.

    Args:
        engines: those that can be measured here.

    Raises:
        UserError: its engine is none of `engines`, it was sampled, or has no answers.
    """
    info = run.info
    if info.engine.engine not in engines or not info.engine.weights_sha256:
        raise UserError(
            f"{run.path}: fidelity takes a run of {' or of '.join(engines.values())}, and this is one of "
            f"{printable(info.engine.engine or 'nothing known')}"
        )
    temperature = info.generation.temperature
    if temperature != 0:
        raise UserError(
            f"{run.path}: its answers were sampled (temperature {temperature}): fidelity takes greedy ones: "
            "run the reference with protocol=greedy"
        )
    if not any(sample.text is not None for item in run.items for sample in item.samples):
        raise UserError(f"{run.path}: the reference has no answers: end its run first")


def make_plan(
    run: Run, reference: Reference, log: Path, limit: int | None, benchmarks: Sequence[str] = ()
) -> Plan:
    """The tokens of every prompt and answer of a run.

    Args:
        log: where the engine's output goes.
        limit: answers per benchmark at most, chosen by a hash of their names; None: all.
        benchmarks: only these of the run's; none: all.

    Raises:
        UserError: a prompt has other tokens than the run recorded, no such benchmark, or no answer is left.
        EngineUnusable: the engine does not answer.
    """
    chosen: list[tuple[Name, str, Sample]] = []
    failed = 0
    for benchmark, items in chosen_items(run, limit, benchmarks).items():
        for item in items:
            for sample in item.samples:
                failed += sample.text is None
                if sample.text is not None:
                    chosen.append(((benchmark, item.id, item.turn, sample.number), item.group, sample))
    prompts, texts = reference.tokens_of(
        [sample.messages for _, _, sample in chosen], [sample.text or "" for _, _, sample in chosen], log
    )
    answers: list[ForcedAnswer] = []
    strange = 0
    for (name, group, sample), prompt, text in zip(chosen, prompts, texts, strict=True):
        require_same_prompt(run, name, sample, prompt)
        made = ForcedAnswer(
            name, group, prompt, text.tokens, text.sizes, not sample.cut_off, sample.text or ""
        )
        if not text.faithful or not made.predicted:
            strange += 1
            continue
        recounted = sample.completion_tokens not in (None, made.predicted)
        answers.append(replace(made, recounted=recounted))
    if not answers:
        raise UserError(f"{run.path}: the reference has no answers that can be put to a file")
    return Plan(with_cuts(answers), failed, strange, sum(answer.recounted for answer in answers))


def chosen_items(run: Run, limit: int | None, benchmarks: Sequence[str] = ()) -> dict[str, list[Item]]:
    """The items to put to files, by benchmark; arguments as of `make_plan`.

    Raises:
        UserError: the run has no such benchmark.
    """
    found = run.by_benchmark()
    for name in benchmarks:
        if name not in found:
            known = ", ".join(found)
            raise UserError(f"{run.path} has no benchmark '{printable(name)}': it has {known}")
    return {
        name: sorted(items, key=lambda item: rank(0, f"{item.id}\0{item.turn}"))[:limit]
        for name, items in found.items()
        if not benchmarks or name in benchmarks
    }


def require_same_prompt(run: Run, name: Name, sample: Sample, prompt: Sequence[int]) -> None:
    """Raises UserError if a prompt has not as many tokens as the run recorded."""
    if sample.prompt_tokens not in (None, len(prompt)):
        raise UserError(
            f"{run.path}: the prompt of {name[0]} {named((name[1], name[2]))} has {len(prompt)} tokens, "
            f"the run recorded {sample.prompt_tokens}: another version of llama.cpp renders it otherwise"
        )


def distinct_prompts(prompts: Sequence[Prompt]) -> dict[Prompt, list[Message]]:
    """Each prompt once, as it is sent to be tokenized."""
    return {
        prompt: [Message(role, content) for role, content in prompt]  # type: ignore[arg-type]
        for prompt in dict.fromkeys(prompts)
    }


def require_maker(run: Run, path: Path, sha256: str, what: str, give: str) -> None:
    """Raises UserError if the weights at `path` are not those that made the run."""
    if sha256 != run.info.engine.weights_sha256:
        raise UserError(
            f"{path} is not {what} made {run.path}: sha256 {sha256[:12]}, the run has "
            f"{str(run.info.engine.weights_sha256)[:12]}: give reference={give}"
        )


def require_run_template(run: Run, source: str, name: str, cure: str = "") -> None:
    """Raises UserError if the chat template `source`, of what is called `name`, is not the run's."""
    wanted = run.info.engine.chat_template_sha256
    if wanted and hashlib.sha256(source.encode()).hexdigest() != wanted:
        raise UserError(f"{run.path} used another chat template than {name} has{cure}")


OTHER_TOKENIZER = "its tokenizer's settings differ: deployed, it may see other prompts"
"""A note on what is compared."""


def require_one_model(path: Path, reference: Path, theirs: str | None, ours: str | None) -> None:
    """Raises UserError if architectures differ."""
    if theirs != ours:
        raise UserError(
            f"{path.name} is of architecture {printable(theirs or 'none')}, the reference "
            f"{reference.name} of {printable(ours or 'none')}: fidelity compares files of one model"
        )


def other_vocabulary(path: Path, reference: Path) -> UserError:
    return UserError(
        f"{path.name} has another vocabulary than {reference.name}: their tokens cannot be compared"
    )


def check_context(
    path: Path, trained: int | None, longest: int, context: int | None, beyond: int = 0
) -> None:
    """See that the longest sequence fits.

    Args:
        longest: tokens that are fed, at most.
        beyond: tokens that the engine needs room for beside them.

    Raises:
        UserError: they are more than the context, or than the model was trained for.
    """
    if context is not None and context < longest:
        raise UserError(f"context={context}: the longest prompt and answer have {longest} tokens")
    if trained is not None and trained < longest + beyond:
        more = f", and the engine needs {beyond} more" if beyond else ""
        raise UserError(
            f"{path.name} was trained for {trained} tokens, the longest prompt and answer have {longest}"
            f"{more}: the context is too small"
        )


def with_cuts(answers: Sequence[ForcedAnswer]) -> tuple[ForcedAnswer, ...]:
    """The answers sorted by their tokens, each with the places where another's tokens part from its own."""
    ordered = sorted(answers, key=lambda answer: (answer.fed, answer.key))
    found = cuts([answer.fed for answer in ordered])
    made = []
    for answer, places in zip(ordered, found, strict=True):
        # A row that is wanted is computed again, and with it all that follow.
        most = len(answer.prompt) - 1
        made.append(replace(answer, cuts=_spaced(sorted({min(place, most) for place in places}))))
    return tuple(made)


def cuts(ordered: Sequence[Sequence[int]]) -> list[set[int]]:
    """For each of some sorted sequences, the lengths of what it has in common with the others."""
    import numpy as np

    arrays = [np.asarray(tokens, dtype=np.int64) for tokens in ordered]
    shared = [_common(one, other) for one, other in itertools.pairwise(arrays)]
    found: list[set[int]] = [set() for _ in ordered]
    for lengths, places in (
        (shared, range(1, len(ordered))),
        (shared[::-1], range(len(ordered) - 2, -1, -1)),
    ):
        # The least of all lengths between two sequences is what they share: a stack keeps the distinct ones.
        stack: list[int] = []
        for length, place in zip(lengths, places, strict=True):
            while stack and stack[-1] >= length:
                stack.pop()
            stack.append(length)
            found[place] |= set(stack)
    return found


def distinct(sequences: Sequence[Sequence[int]]) -> int:
    """How many different prefixes, one token or longer, sequences have together."""
    import numpy as np

    arrays = [np.asarray(tokens, dtype=np.int64) for tokens in sorted(map(tuple, sequences))]
    shared = sum(_common(one, other) for one, other in itertools.pairwise(arrays))
    return sum(map(len, arrays)) - shared


def _common(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    import numpy as np

    length = min(len(one), len(other))
    differ = np.nonzero(one[:length] != other[:length])[0]
    return int(differ[0]) if len(differ) else length


def _spaced(places: Sequence[int]) -> tuple[int, ...]:
    kept: list[int] = []
    for place in places:
        if place - (kept[-1] if kept else 0) >= _SHORTEST_PIECE:
            kept.append(place)
    return tuple(kept)

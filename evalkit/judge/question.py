"""A case as a judge is asked: the prompt in one form of reply, its sampling, and the key of its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from evalkit.backends.engine import Sampling
from evalkit.judge.cache import verdict_key
from evalkit.judge.case import Case
from evalkit.judge.contract import Form
from evalkit.judge.prompt import Prompt, prompt_of

_RETRY_TEMPERATURE = 0.7


@dataclass(frozen=True, slots=True)
class Question:
    """Questions with the same key are the same question."""

    key: str
    case: Case
    prompt: Prompt
    sampling: Sampling

    @property
    def bytes(self) -> int:
        """The size of the prompt in UTF-8."""
        return sum(len(message.content.encode("utf-8", "replace")) for message in self.prompt.messages)

    def attempt(self, number: int) -> Sampling:
        """The sampling of attempt `number`, from 1.

        The first is greedy. At temperature 0 a broken reply would come again, whatever the seed, so the
        others are not, and each has a seed of its own.
        """
        if number == 1:
            return self.sampling
        return replace(self.sampling, temperature=_RETRY_TEMPERATURE, seed=number - 1)


def question_of(case: Case, form: Form, identity: Mapping[str, Any], max_tokens: int | None) -> Question:
    """The question to the judge of `identity`.

    Args:
        max_tokens: of the reply; None: what its contract needs.
    """
    prompt = prompt_of(case, form)
    sampling = Sampling(
        temperature=0.0,
        top_p=1.0,
        top_k=0,
        min_p=0.0,
        repetition_penalty=1.0,
        max_tokens=max_tokens or prompt.contract.max_tokens,
        seed=0,
        json_schema=prompt.contract.json_schema,
    )
    return Question(verdict_key(identity, prompt.messages, sampling), case, prompt, sampling)

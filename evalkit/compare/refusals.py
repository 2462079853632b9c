"""What makes two runs incomparable: settings that shape answers, data, prompts. Each refusal says which.

Refused are differences that would pass for a difference of the models. Of the protocol these are temperature,
repetition penalty, system prompt and `max_tokens` (a model whose own cap is lower than the protocol's is that
model, and no refusal); top_p, top_k, min_p and the seed only where answers are sampled: at temperature 0 they
decide nothing. The number of samples may differ: an item's score is their mean either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from evalkit.compare.side import Side, different_data
from evalkit.compare.wording import named, shown
from evalkit.errors import UserError
from evalkit.example import OwnAnswer
from evalkit.report.items import Item, Key

_SHAPING = ("protocol.temperature", "protocol.repetition_penalty", "protocol.max_tokens", "protocol.system")
_SAMPLING = ("protocol.top_p", "protocol.top_k", "protocol.min_p", "seed")
_PROMPT = ("file", "sha256")


def refusal(candidate: Side, reference: Side, what: str, do: str) -> UserError:
    """The error that says in one line why two runs are not compared, and what to do."""
    return UserError(f"{candidate.path} cannot be compared with {reference.path}: {what}: {do}")


def check_protocols(candidate: Side, reference: Side) -> None:
    """Raises UserError, naming the setting, if the two were not asked for answers in the same way."""
    sampled = bool(candidate.config["protocol"].get("temperature"))
    # Temperature comes first: of two runs that differ in it, the reader must hear of nothing else.
    for key in (*_SHAPING, *(_SAMPLING if sampled else ())):
        ours, theirs = _setting(candidate, key), _setting(reference, key)
        if ours != theirs:
            what = f"{key} is {shown(ours)} in the first and {shown(theirs)} in the second"
            raise refusal(candidate, reference, what, f"run both with the same {key}")


def _setting(side: Side, key: str) -> object:
    name = key.removeprefix("protocol.")
    return side.config[name] if name == key else side.config["protocol"].get(name)


def check_data(benchmark: str, candidate: Side, reference: Side) -> None:
    """Raises UserError if the records of `benchmark` were not the same."""
    different = different_data(candidate.run["data"][benchmark], reference.run["data"][benchmark])
    if different:
        what = f"{benchmark}: their data differ ({different})"
        raise refusal(candidate, reference, what, "run both on the same data")


def check_prompts(benchmark: str, candidate: Side, reference: Side, keys: Iterable[Key]) -> None:
    """Raises UserError, naming the first example, if an example's messages or gold answer differ.

    Where both sides show the model its own earlier answers (ConvFinQA, history=own), those may differ.
    """
    for key in keys:
        ours, theirs = candidate.items[benchmark][key], reference.items[benchmark][key]
        part = _different_part(ours, theirs)
        if part:
            why = _why(benchmark, candidate, reference)
            what = f"{benchmark}: the {part} of example {named(key)} differs{why}"
            raise refusal(candidate, reference, what, "run both with the same prompts")


def _different_part(ours: Item, theirs: Item) -> str:
    if ours.example.gold != theirs.example.gold:
        return "gold answer"
    mine, other = _messages(ours), _messages(theirs)
    if mine == other:
        return ""
    if [role for role, _ in mine] != [role for role, _ in other]:
        return "order of messages"
    role = next(a for (a, text), (_, b) in zip(mine, other, strict=True) if text != b)
    return f"{shown(role)} message"


def _messages(item: Item) -> list[tuple[object, object]]:
    """Role and text of each message as sent; the model's own earlier answers have None for a text."""
    record, templates = item.scores[0].record, item.example.messages
    try:
        sent = [(message["role"], message["content"]) for message in record.messages]
    except (TypeError, KeyError) as error:
        raise UserError(f"the record of {named(item.key)} in generations.jsonl has no messages") from error
    # The protocol's system prompt may stand before the example's own messages: match from the end.
    offset = len(sent) - len(templates)
    own = {offset + at for at, message in enumerate(templates) if isinstance(message, OwnAnswer)}
    return [(role, None if at in own else text) for at, (role, text) in enumerate(sent)]


def _why(benchmark: str, candidate: Side, reference: Side) -> str:
    """The settings of the benchmark that explain different prompts, if any."""
    ours, theirs = (_prompt_settings(benchmark, side) for side in (candidate, reference))
    found = [
        f"{name} is {shown(ours.get(name))} and {shown(theirs.get(name))}"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]
    return f" ({'; '.join(found[:2])})" if found else ""


def _prompt_settings(benchmark: str, side: Side) -> dict[str, object]:
    options = side.config["benchmark"][benchmark]
    template = side.run["data"][benchmark].get("prompt") or {}
    plain = {
        f"benchmark.{benchmark}.{name}": value
        for name, value in options.items()
        if not isinstance(value, Mapping)
    }
    return {**plain, **{f"the template's {name}": template.get(name) for name in _PROMPT}}

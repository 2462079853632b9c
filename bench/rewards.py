"""What the reward functions cost over the bare rule: completions per second and core, all in one run.

Completions come in groups of `GROUP` with one prompt and one gold answer, as GRPO makes them, and no two that
follow each other are the same: what a rule remembers of a text helps none of them. Every way to be rewarded
goes over the same completions in turn, again and again, so that what else the machine does falls on all of
them alike; times are CPU times. Hostile completions are timed one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.hostile import hostile
from bench.rules import real_outputs, sample_outputs
from evalkit.rewards import AccuracyReward, accuracy_reward, compute_score, format_reward
from evalkit.rewards.gold import gold_json
from evalkit.schema import DEFAULT, Gold, NumberGold, Output, TextGold, UserError
from evalkit.scoring import get_rule

HELP = """
usage: python -m bench rewards [data.dir=DIR] [rule=NAME] [seconds=N] [hostile=N]

Completions per second of CPU and core: the bare rule, accuracy_reward over texts, over messages and with
prompts, format_reward, and verl's compute_score, each with its ratio to the bare rule in the same run; then
the slowest of N hostile completions. Completions are made from the bundled samples, or are the real outputs
of <DIR>/model_outputs/.

rule=NAME     the rule; default: financial
seconds=N     of CPU for each way; default: 3
hostile=N     default: 2000; every 500th is a megabyte

exit code: 0 done, 1 fewer than 5,000 rewards per second, or one took more than 50 ms, 2 wrong request
"""

GROUP = 8
TARGET = 5_000
LIMIT_MS = 50.0

Item = tuple[Output, Gold]


@dataclass(slots=True)
class Way:
    """One way to be rewarded: what is called for all completions, and the CPU seconds and rewards so far."""

    name: str
    call: Callable[[], object]
    seconds: float = 0.0
    rewards: int = 0

    @property
    def rate(self) -> float:
        """Rewards per second of CPU."""
        return self.rewards / self.seconds


def ways(items: Sequence[Item], rule: str) -> list[Way]:
    """The bare rule first."""
    texts = [output.text for output, _ in items]
    chats = [[{"role": "assistant", "content": text}] for text in texts]
    prompts = [[{"role": "user", "content": output.prompt}] for output, _ in items]
    gold = [gold_json(each) for _, each in items]
    score, reward = get_rule(rule), AccuracyReward(rule)
    return [
        Way(f"rule {rule}", lambda: [score(output, each) for output, each in items]),
        Way("accuracy_reward, texts", lambda: reward(texts, gold)),
        Way("accuracy_reward, messages", lambda: reward(chats, gold)),
        Way("accuracy_reward, messages and prompts", lambda: reward(chats, gold, prompts=prompts)),
        Way("format_reward, messages", lambda: format_reward(chats, gold=gold)),
        Way(
            "compute_score",
            lambda: [compute_score("", t, g, rule=rule) for t, g in zip(texts, gold, strict=True)],
        ),
    ]


def measure(found: Sequence[Way], count: int, seconds: float) -> None:
    """Call all in turn until each has had that much CPU time; a first turn warms up."""
    for way in found:
        way.call()
    while any(way.seconds < seconds for way in found):
        for way in found:
            started = time.process_time()
            way.call()
            way.seconds += time.process_time() - started
            way.rewards += count


def slowest_hostile(count: int) -> tuple[float, int]:
    """The most CPU milliseconds that one hostile completion takes, both rewards together, and its number."""
    gold = [gold_json(NumberGold(0.0787, "what was the percentage change?"))]
    worst, number = 0.0, 0
    for each in range(count):
        completion = [hostile(each).text]
        started = time.thread_time()
        accuracy_reward(completion, gold)
        format_reward(completion)
        spent = 1000 * (time.thread_time() - started)
        if spent > worst:
            worst, number = spent, each
    return worst, number


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    directory: Path | None
    rule: str
    seconds: int
    hostile: int


def read_options(arguments: Sequence[str]) -> Options:
    """Raises UserError for a setting that there is not, or a value that cannot be meant."""
    given = {"data.dir": "", "rule": DEFAULT, "seconds": "3", "hostile": "2000"}
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in given:
            known = ", ".join(f"{name}=..." for name in given)
            raise UserError(f"rewards: no such setting: '{key}' ({known})")
        given[key] = value
    directory = Path(given["data.dir"]).expanduser() if given["data.dir"] else None
    return Options(directory, given["rule"], _whole(given, "seconds"), _whole(given, "hostile"))


def _whole(given: Mapping[str, str], key: str) -> int:
    text = given[key]
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) > 0):
        raise UserError(f"rewards: {key}={text}: give a whole number above 0")
    return int(text)


def completions(options: Options) -> list[Item]:
    """Groups of completions that the rule judges: in each, outputs to questions with answers of one kind.

    Raises:
        UserError: there are none.
    """
    score = get_rule(options.rule)
    asked = real_outputs(options.directory) if options.directory else sample_outputs()
    judged = [(out, gold) for out, gold in asked if not isinstance(gold, TextGold) and score(out, gold)]
    if not judged:
        raise UserError(f"rewards: the rule {options.rule} judges none of the outputs")
    kinds: dict[type[Gold], list[Item]] = {}
    for out, gold in judged:
        kinds.setdefault(type(gold), []).append((out, gold))
    return [
        (replace(same[(place + other) % len(same)][0], prompt=out.prompt), gold)
        for same in kinds.values()
        for place, (out, gold) in enumerate(same)
        for other in range(GROUP)
    ]


def main(arguments: Sequence[str]) -> int:
    options = read_options(arguments)
    items = completions(options)
    size = sum(len(output.text) for output, _ in items) / len(items)
    kind = "real" if options.directory else "made from the bundled samples"
    print(f"{len(items)} completions in groups of {GROUP} ({kind}, {size:.0f} characters on average)")
    bare, *others = found = ways(items, options.rule)
    measure(found, len(items), options.seconds)
    for way in found:
        print(f"{way.name:<40}{way.rate:>10,.0f} per second and core; ratio {way.rate / bare.rate:.2f}")
    slowest, number = slowest_hostile(options.hostile)
    print(f"slowest of {options.hostile} hostile completions: {slowest:.1f} ms of CPU (number {number})")
    return 0 if min(way.rate for way in others) >= TARGET and slowest <= LIMIT_MS else 1

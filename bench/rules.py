"""The scoring measured: against hand labels, against hostile outputs, and in outputs per second.

How far the scoring agrees with hand labels, and every item on which it does not.

Model outputs with hand labels, and the gold answers they belong to.

Laid out as `<dir>/model_outputs/labels_finqa_*.jsonl` and `labels_convfinqa_*.jsonl`, with the outputs beside
them: FinQA's as `{"id", "generation"}`, ConvFinQA's as `{"record_id", "turn_idx", "predicted_answer",
"predicted_unit"}`. A label says `id` (or `record_id`, `turn_idx`), `final_answer`, `value`, `percent`,
`correct_lenient` (for FinQA also `correct_lenient_exe`), `correct_strict`, `failure`, `borderline`, `note`.

What scoring costs: outputs per second, beside math-verify on the same outputs.

`evalkit scoring`: how far the scoring can be trusted, and what it costs.
"""

from __future__ import annotations

import importlib.util
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.files import CONFIGS, install_extra
from evalkit.schema import (
    ChoiceGold,
    CodeGold,
    Example,
    Gold,
    LabelGold,
    Message,
    NumberGold,
    Output,
    Score,
    SpansGold,
    TextGold,
    UserError,
    YesNoGold,
    gold_text,
)
from evalkit.scoring import get_rule, rule_names
from evalkit.scoring.agreement import LENIENCY
from evalkit.scoring.number_answer import NumberAnswer, number_answer
from evalkit.scoring.text import fold, plain

if TYPE_CHECKING:
    from rich.console import Console


# The classes that can be known from output and gold alone; the other two need the page.
KNOWABLE = frozenset(LENIENCY.values()) | {"truncated", "no_final_answer", "wrong_number"}


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One item on which label and scoring differ, as strings for a table."""

    name: str
    extracted: str
    gold: str
    label: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One kind of agreement. ``target`` is the share that must be reached."""

    title: str
    total: int
    target: float
    disagreements: tuple[Disagreement, ...]

    @property
    def agreed(self) -> int:
        return self.total - len(self.disagreements)

    @property
    def share(self) -> float:
        return self.agreed / self.total if self.total else 0.0

    @property
    def met(self) -> bool:
        return self.share >= self.target


Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Labelled:
    """One output, its gold, and what a reader said of it."""

    benchmark: str
    name: str
    output: Output
    gold: Gold
    label: Row

    @property
    def lenient(self) -> bool:
        """The lenient verdict against the executed value alone."""
        return bool(self.label.get("correct_lenient_exe", self.label["correct_lenient"]))


Compare = Callable[[Labelled], tuple[str, str] | None]
"""What the label says and what the scoring says; None where they agree."""


def figures(items: Sequence[Labelled]) -> list[Figure]:
    """Verdicts (lenient and strict), extraction and failure classes against the labels."""
    knowable = [item for item in items if item.label["failure"] in KNOWABLE]
    return [
        _figure("financial, against the lenient label", items, _lenient, 0.97),
        _figure("finqa_official on numbers, against the strict label", items, _strict, 0.95),
        _figure("extracted text, number and %", items, _extraction, 0.98),
        _figure("failure class, where the page is not needed", knowable, _failure, 0.85),
    ]


def _figure(title: str, items: Sequence[Labelled], compare: Compare, target: float) -> Figure:
    found = ((item, compare(item)) for item in items)
    differing = tuple(_disagreement(item, *said) for item, said in found if said is not None)
    return Figure(title, len(items), target, differing)


def _disagreement(item: Labelled, label: str, verdict: str) -> Disagreement:
    judged = _judged("financial", item)
    gold = repr(item.gold.value) if isinstance(item.gold, NumberGold) else ""
    gold = ("yes" if item.gold.yes else "no") if isinstance(item.gold, YesNoGold) else gold
    reason = "; ".join(filter(None, (judged.outcome, judged.note, str(item.label["note"]))))
    return Disagreement(item.name, judged.extracted or "", gold, label, verdict, reason)


def _judged(rule: str, item: Labelled) -> Score:
    verdict = get_rule(rule)(item.output, item.gold)
    if verdict is None:
        raise TypeError(f"{rule} does not judge {item.benchmark}")
    return verdict


def _lenient(item: Labelled) -> tuple[str, str] | None:
    correct = _judged("financial", item).correct
    return None if correct is item.lenient else (_word(item.lenient), _word(correct))


def _strict(item: Labelled) -> tuple[str, str] | None:
    label, correct = bool(item.label["correct_strict"]), _judged("finqa_official", item).correct
    return None if correct is label else (_word(label), _word(correct))


def _extraction(item: Labelled) -> tuple[str, str] | None:
    found = number_answer(item.output, getattr(item.gold, "question", ""))
    label = item.label
    quantity = found.quantity if found else None
    value = quantity.value if quantity else None
    percent = quantity is not None and quantity.percent
    same_value = (
        value is label["value"]
        if value is None or label["value"] is None
        else math.isclose(value, label["value"], rel_tol=1e-4)
    )
    if same_value and percent is bool(label["percent"]) and _same_text(found, item):
        return None
    said = f"{found.answer.text[:40]!r} ({value}{'%' if percent else ''})" if found else "nothing"
    return f"{label['final_answer']!r} ({label['value']}{'%' if label['percent'] else ''})", said


def _same_text(found: NumberAnswer | None, item: Labelled) -> bool:
    """Blanks and dress aside; the unit that stands after a box may be in ours, as far as it is a scale."""
    ours = _squeezed(found.answer.text) if found else ""
    theirs = _squeezed(plain(fold(item.label["final_answer"])))
    if not theirs:  # no committed answer
        return found is None or found.quantity is None
    outside = _squeezed(item.label.get("unit_text", ""))
    return ours.startswith(theirs) and outside.startswith(ours.removeprefix(theirs))


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _failure(item: Labelled) -> tuple[str, str] | None:
    verdict, label = _judged("financial", item), str(item.label["failure"])
    ours = LENIENCY.get(verdict.note, verdict.outcome) if verdict.correct else verdict.outcome
    return None if ours == label else (label, ours)


def _word(correct: bool | None) -> str:
    return "right" if correct else "wrong"


Key = tuple[str, int | None]


def labelled(directory: Path) -> list[Labelled]:
    """Every labelled output under `directory`, borderline ones left out.

    Raises:
        UserError: there are no labels, or one has no output or no gold answer.
    """
    items = [item for benchmark in ("finqa", "convfinqa") for item in _of(benchmark, directory)]
    if not items:
        raise UserError(f"no labels in {directory}: it needs model_outputs/labels_finqa_*.jsonl or the like")
    return items


def golds(benchmark: str, directory: Path) -> dict[Key, Gold]:
    """The gold answers of a benchmark's local data by (id, turn).

    Raises:
        UserError: the data is missing or malformed.
    """
    from evalkit.config.settings import run_settings
    from evalkit.run.runner import load_data

    asked = [f"benchmark={benchmark}", "data=local", f"data.dir='{directory}'"]
    loaded = load_data(run_settings(["+model=replay", "model.path=none", *asked]))[benchmark]
    return {(example.id, example.turn): example.gold for example in loaded.examples}


def _of(benchmark: str, directory: Path) -> Iterator[Labelled]:
    rows = list(_rows(directory, f"labels_{benchmark}_*.jsonl"))
    if not rows:
        return
    gold_of = golds(benchmark, directory)
    outputs = {_key(row): _text(row) for row in _rows(directory, f"{benchmark}_*.jsonl")}
    for row in rows:
        key = _key(row)
        if key not in outputs or key not in gold_of:
            raise UserError(f"{directory}: label {row['id']} has no output or no gold answer")
        if not row["borderline"]:
            yield Labelled(benchmark, str(row["id"]), Output(outputs[key]), gold_of[key], row)


def _rows(directory: Path, pattern: str) -> Iterator[Row]:
    for path in sorted((directory / "model_outputs").glob(pattern)):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}: line {number} is not JSON") from error
            if not isinstance(row, dict):
                raise UserError(f"{path}: line {number} is not an object")
            yield row


def _key(row: Row) -> Key:
    return (str(row["record_id"]), int(row["turn_idx"])) if "record_id" in row else (str(row["id"]), None)


def _text(row: Row) -> str:
    """A raw output; a structured answer is put in a box, with the % that its unit says."""
    if "generation" in row:
        return str(row["generation"])
    answer = str(row["predicted_answer"])
    percent = row["predicted_unit"] == "percent" and "%" not in answer
    return rf"\boxed{{{answer}{'%' if percent else ''}}}"


MODELS, OUTPUTS_EACH = 11, 1_000
COMPARED_SECONDS = 5.0  # of CPU, for each of the rates

Item = tuple[Output, Gold]


def real_outputs(directory: Path) -> list[Item]:
    """The labelled outputs of a data directory with their golds. Raises UserError where there are none."""
    return [(item.output, item.gold) for item in labelled(directory)]


def report(real: Sequence[Item] | None = None) -> Iterator[str]:
    """The measurements, line by line, as each is done."""
    samples = sample_outputs()
    numeric = list(real or (item for item in samples if isinstance(item[1], NumberGold)))
    size = sum(len(output.text) for output, _ in numeric) / len(numeric)
    kind = "real" if real else "made from the bundled samples"
    yield f"{len(numeric)} outputs with a number to find ({kind}, {size:.0f} characters on average)"
    ours = _rate(lambda item: get_rule("financial")(*item), numeric)
    yield f"financial: {ours:,.0f} outputs per second and core"
    verify = _math_verify()
    if verify is None:
        yield f"math-verify: not installed; {install_extra('bench')} to compare"
    else:
        theirs = _rate(verify, numeric)
        yield f"math-verify: {theirs:,.0f} outputs per second and core; ratio {ours / theirs:.1f}"
    for name, rules in (("financial", ["financial"]), ("all rules", rule_names())):
        seconds, count = _rescored(samples, rules)
        amount = f"{MODELS} models x 5 benchmarks x {OUTPUTS_EACH:,} = {count:,} outputs"
        yield f"re-scoring {amount}, {name}: {seconds:.1f} s on one core"


def sample_outputs() -> list[Item]:
    """An output for every bundled example: its prompt as a long trace, then its gold answer in a box."""
    items = []
    for path in sorted((CONFIGS / "benchmark").glob("*.yaml")):
        for example in _sample(path):
            trace = "".join(m.content for m in example.messages if isinstance(m, Message))
            said = f"<think>\n{trace}\nSo the answer is close.\n</think>\n\nStep by step: {trace[-600:]}\n"
            text = f"{said}<answer>\\boxed{{{_shown(example.gold)}}}</answer>"
            items.append((Output(text, prompt=trace), example.gold))
    return items


def _sample(path: Path) -> list[Example]:
    from evalkit.config.settings import run_settings
    from evalkit.run.runner import load_data

    asked = ["+model=replay", "model.path=none", f"benchmark={path.stem}", "data=sample"]
    return load_data(run_settings(asked))[path.stem].examples


def _shown(gold: Gold) -> str:
    match gold:
        case NumberGold():
            return f"{gold.value:,.4f}"
        case YesNoGold():
            return "yes" if gold.yes else "no"
        case ChoiceGold():
            return gold.letter
        case LabelGold():
            return gold.label
        case TextGold():
            return gold.reference
        case SpansGold() | CodeGold():
            return gold_text(gold)


def _rate(score: Callable[[Item], object], items: Sequence[Item]) -> float:
    """Outputs per second of CPU time, over whole passes; the first pass warms up."""
    for item in items[:20]:
        score(item)
    done, started = 0, time.process_time()
    while (spent := time.process_time() - started) < COMPARED_SECONDS:
        for item in items:
            score(item)
        done += len(items)
    return done / spent


def _rescored(items: Sequence[Item], rules: Sequence[str]) -> tuple[float, int]:
    """Wall seconds, on one core, to score that many outputs under these rules."""
    count = MODELS * 5 * OUTPUTS_EACH
    functions = [get_rule(name) for name in rules]
    started = time.perf_counter()
    for output, gold in islice(cycle(items), count):
        for function in functions:
            function(output, gold)
    return time.perf_counter() - started, count


def _math_verify() -> Callable[[Item], object] | None:
    """math-verify's extraction and comparison; None if it is not installed."""
    if importlib.util.find_spec("math_verify") is None:
        return None
    module = importlib.import_module("math_verify")

    def verify(item: Item) -> object:
        output, gold = item
        return module.verify(module.parse(_shown(gold)), module.parse(output.text))

    return verify


HELP = """
usage: python -m bench scoring check data.dir=DIR
       python -m bench scoring metamorphic [data.dir=DIR]
       python -m bench scoring fuzz [n=1000000] [processes=N]
       python -m bench scoring speed [data.dir=DIR]

check   agreement with hand labels of real outputs (<DIR>/model_outputs/, with the benchmarks' local data in
        DIR), and every item on which label and scoring differ
metamorphic  real gold answers in other dresses, languages, directions and units: how many right ones are
        accepted and wrong ones refused, by transformation; of the bundled samples without data.dir
fuzz    hostile outputs through every rule: exceptions, the slowest, the growth of memory; the limits are
        none, 50 ms of CPU for one rule on one output whatever its size, and 64 MiB
speed   scored outputs per second and core, beside math-verify on the same outputs if that is installed, and
        the time to re-score 11 models x 5 benchmarks x 1,000 outputs; outputs are made from the bundled
        samples, or are the real ones of <DIR>/model_outputs/

exit code: 0 done and within the limits, 1 a target missed or a limit broken, 2 wrong request
"""

_SETTINGS = {
    "check": {"data.dir"},
    "metamorphic": {"data.dir"},
    "fuzz": {"n", "processes"},
    "speed": {"data.dir"},
}


def main(arguments: Sequence[str]) -> int:
    from evalkit.text import output_console

    kind = arguments[0] if arguments else ""
    if kind not in _SETTINGS:
        raise UserError(f"scoring: say what to do: python -m bench scoring {'|'.join(_SETTINGS)}")
    options = dict(argument.partition("=")[::2] for argument in arguments[1:])
    unknown = sorted(options.keys() - _SETTINGS[kind])
    if unknown:
        known = ", ".join(f"{name}=..." for name in sorted(_SETTINGS[kind]))
        raise UserError(f"scoring {kind}: no such setting: '{unknown[0]}' ({known})")
    run = {"check": _check, "metamorphic": _metamorphic, "fuzz": _fuzz, "speed": _speed}[kind]
    return run(options, output_console())


def _check(options: Mapping[str, str], console: Console) -> int:
    from pathlib import Path

    if "data.dir" not in options:
        raise UserError("scoring check: give the data: python -m bench scoring check data.dir=DIR")
    found = figures(labelled(Path(options["data.dir"]).expanduser()))
    for figure in found:
        _print_figure(figure, console)
    return 0 if all(figure.met for figure in found) else 1


METAMORPHIC_SHARE = 0.95
"""So many verdicts of each transformation must be as they should be; a few questions are ambiguous."""


def _metamorphic(options: Mapping[str, str], console: Console) -> int:
    from pathlib import Path

    from rich.table import Table
    from rich.text import Text

    from bench.metamorphic import examples, rows

    directory = Path(options["data.dir"]).expanduser() if "data.dir" in options else None
    table = Table("area", "transformation", "must be", "cases", "are", "%", "first others", box=None)
    met = True
    for row in rows(examples(directory)):
        kind = row.transformation
        cells = (kind.area, kind.name, "right" if kind.right else "wrong", str(row.cases))
        shown = (str(row.as_expected), f"{100 * row.share:.1f}", "; ".join(row.missed[:1]))
        table.add_row(*(Text(cell, overflow="fold") for cell in (*cells, *shown)))
        met = met and row.share >= METAMORPHIC_SHARE
    console.print(table)
    return 0 if met else 1


def _print_figure(figure: Figure, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    share = f"{figure.agreed} of {figure.total} = {figure.share:.1%}"
    line = f"{figure.title}: {share} (target {figure.target:.0%})"
    console.print(line, highlight=False, markup=False)
    if not figure.disagreements:
        return
    table = Table("id", "extracted", "gold", "label", "verdict", "reason", box=None, pad_edge=True)
    for item in figure.disagreements:
        cells = (item.name, item.extracted[:40], item.gold, item.label, item.verdict, item.reason)
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    console.print(table)


def _fuzz(options: Mapping[str, str], console: Console) -> int:
    import os

    from bench.hostile import LIMIT_GROWTH_BYTES, LIMIT_MS, fuzz

    count = _count(options.get("n", "1000000"), "n")
    processes = _count(options.get("processes", str(os.cpu_count() or 1)), "processes")
    found = fuzz(count, min(processes, count))
    lines = [
        f"{found.outputs} hostile outputs, {found.calls} calls of a rule",
        f"exceptions and broken verdicts: {found.fault_count}",
        *found.faults,
        f"slowest: {found.slowest_ms:.1f} ms of CPU ({found.slowest}; limit {LIMIT_MS:.0f} ms)",
        f"memory grew by at most {found.growth_bytes / 2**20:.1f} MiB (limit {LIMIT_GROWTH_BYTES >> 20} MiB)",
    ]
    console.print("\n".join(lines), highlight=False, markup=False)
    return 0 if found.passed else 1


def _speed(options: Mapping[str, str], console: Console) -> int:
    from pathlib import Path

    real = real_outputs(Path(options["data.dir"]).expanduser()) if "data.dir" in options else None
    for line in report(real):
        console.print(line, highlight=False, markup=False)
    return 0


def _count(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text) > 0):
        raise UserError(f"scoring fuzz: {name}={text}: give a whole number above 0")
    return int(text)

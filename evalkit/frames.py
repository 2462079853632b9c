"""Runs as pandas DataFrames: `evalkit.load_runs()` and what the notebook asks of it.

Missing values are `<NA>`, or NaN in float columns. Memory and file sizes are in bytes, times in seconds,
speeds in tokens per second, accuracies and their limits fractions of 1. Intervals are 95 % ones.

pandas is imported on top here, unlike elsewhere: no command imports this module.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from evalkit.flips import GradedAnswer, flip_kind, only_answer
from evalkit.run.info import Run
from evalkit.run.record import RECORD_FILE, SUFFIX, load_run
from evalkit.schema import AVERAGE, Estimate, Item, Sample, UserError, nearest
from evalkit.schema import DEFAULT as DEFAULT_
from evalkit.stats.intervals import average_estimate
from evalkit.stats.paired import mean_estimate
from evalkit.sweep.record import FILE, Member, Sweep, read_sweep

DEFAULT = Path("results/records")


def name_of(run: Run) -> str:
    """<model>/<run id>"""
    return f"{run.info.model.name}/{run.info.run_id}"


@dataclass(slots=True)
class Collection:
    """Runs by name, and sweeps by file, in the order in which they were found."""

    runs: dict[str, Run] = field(default_factory=dict)
    sweeps: dict[Path, Sweep] = field(default_factory=dict)

    def add_run(self, path: Path, *, named: bool) -> None:
        """Read a record; one that a folder holds twice counts once.

        Raises:
            UserError: it cannot be read, or was named though its run is there already.
        """
        run = load_run(path)
        there = self.runs.setdefault(name_of(run), run)
        if named and there is not run:
            raise UserError(f"{path} is the run of {there.path} again: give each run once")

    def add_sweep(self, path: Path) -> None:
        """Read a sweep; the same one kept elsewhere counts once."""
        sweep = read_sweep(path)
        if sweep not in self.sweeps.values():
            self.sweeps[path] = sweep


def find(paths: Sequence[Path]) -> Collection:
    """What is at `paths`: record files, folders of runs or sweeps, or folders of such folders (results/).

    Where a folder has several copies of one run, that in records/ counts before those in runs/ and sweeps/.

    Raises:
        UserError: nothing is there, something cannot be read, or a run is named twice.
    """
    found = Collection()
    for path in paths:
        if path.is_file():
            _add_file(found, path)
        elif (path / RECORD_FILE).is_file():
            found.add_run(path / RECORD_FILE, named=True)
        elif (path / FILE).is_file():
            found.add_sweep(path / FILE)
        elif path.is_dir():
            _add_folder(found, path)
        else:
            raise UserError(f"{path} does not exist: give folders of runs, record files, or a results folder")
    return found


def _add_file(found: Collection, path: Path) -> None:
    if path.suffix == ".json":
        found.add_sweep(path)
    else:
        found.add_run(path, named=True)


def _add_folder(found: Collection, folder: Path) -> None:
    # In the order of their paths: records/ comes before runs/ and sweeps/.
    files = [path for path in sorted(folder.rglob("*")) if not path.name.startswith(".") and path.is_file()]
    runs = [path for path in files if path.name.endswith(SUFFIX)]
    sweeps = [path for path in files if path.name == FILE or _is_kept_sweep(path)]
    if not runs and not sweeps:
        raise UserError(f"{folder} holds no records: `evalkit run` makes them, `evalkit keep` keeps them")
    for path in runs:
        found.add_run(path, named=False)
    for path in sweeps:
        found.add_sweep(path)


def _is_kept_sweep(path: Path) -> bool:
    return path.suffix == ".json" and path.parent.name == "sweeps"


__all__ = ["Reading", "Runs", "accuracy", "average", "flips", "load_runs", "read"]


MAX_FACETS = 100


def load_runs(*paths: str | PathLike[str]) -> Runs:
    """Run records as DataFrames: `.runs`, `.answers`, `.scores`, `.sweeps`.

    Args:
        paths: folders of runs or sweeps, record files (`*.jsonl.gz`, `sweep.json`), or a folder of such, as
            `results` is; default: `results/records`. A run that a folder holds twice counts once.

    Raises:
        UserError: nothing is there, a record is damaged or foreign, or a run is named twice.
    """
    return Runs(find([Path(path) for path in paths] or [DEFAULT]))


class Runs:
    """Runs as four tables, made when first asked for; their columns are listed below.

    `answers` has one row per answer, with an index that `scores.answer` refers to, and a column
    `facet_<name>` for everything that benchmarks say of their examples; `scores` has one row per answer and
    rule, `sweeps` one per member. `runs.columns("scores")` shows this list as a table.
    """

    def __init__(self, collection: Collection) -> None:
        self._runs = collection.runs
        self._sweeps = collection.sweeps
        titles = Counter(run.info.model.title for run in self._runs.values())
        self._labels = {
            name: run.info.model.title
            if titles[run.info.model.title] == 1
            else f"{run.info.model.title} ({run.info.run_id})"
            for name, run in self._runs.items()
        }

    def __repr__(self) -> str:
        answers = sum(1 for _ in self.each_answer())
        return f"<{len(self._runs)} runs with {answers:,} answers, {len(self._sweeps)} sweeps>"

    def each_answer(self) -> Iterator[tuple[str, Item, Sample]]:
        """All answers with their run's name, in the order of the table `answers`."""
        for name, run in self._runs.items():
            for item in run.items:
                for sample in item.samples:
                    yield name, item, sample

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run."""
        return frame(RUNS, [_run(run, name, self._labels[name]) for name, run in self._runs.items()])

    @cached_property
    def answers(self) -> pd.DataFrame:
        """One row per answer, in the records' order."""
        rows = list(self.each_answer())
        table = frame(ANSWERS, [_answer(run, self._labels[run], item, each) for run, item, each in rows])
        facets = pd.DataFrame(_facets([item.facets for _, item, _ in rows]), index=table.index)
        return pd.concat([table, facets], axis="columns").rename_axis("answer")

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per answer and rule."""
        return frame(
            SCORES,
            [
                each
                for at, (run, item, sample) in enumerate(self.each_answer())
                for each in _scores(at, run, self._labels[run], item, sample)
            ],
        )

    @cached_property
    def sweeps(self) -> pd.DataFrame:
        """One row per member of every sweep."""
        return frame(
            SWEEPS,
            [_member(path, sweep, each) for path, sweep in self._sweeps.items() for each in sweep.members],
        )

    def columns(self, table: str) -> pd.DataFrame:
        """What the columns of `runs`, `answers`, `scores` or `sweeps` are.

        Raises:
            UserError: there is no such table.
        """
        if table not in _TABLES:
            raise UserError(f"no table {table!r}: {', '.join(_TABLES)}.{nearest(table, _TABLES)}")
        return described(_TABLES[table])

    def find(self, name: str) -> str:
        """The run that has this label, model's name, run id or `<model>/<run id>`.

        Raises:
            UserError: none has, or several have.
        """
        found = [
            each
            for each, run in self._runs.items()
            if name in (each, self._labels[each], run.info.model.name, run.info.run_id)
        ]
        if len(found) != 1:
            what = f"{len(found)} runs are called" if found else "no run is called"
            known = found or list(self._labels.values())
            raise UserError(f"{what} {name!r}: give one of {', '.join(known)}.{nearest(name, known)}")
        return found[0]


RUNS = """
run                        string   <model>/<run id>: the run's name in every table
label                      string   the model's title, with the run id where several runs have that title
model                      string   the model's name, as in evalkit run NAME
family                     string   what the model is a version of
parameters                 Int64    number of parameters
protocol                   string   name of the protocol
temperature                float64  of the sampling
max_tokens                 Int64    longest answer, in tokens
samples                    Int64    answers per example
data                       string   where the benchmarks' records came from: hub, local, sample
limit                      Int64    scored items per benchmark; <NA>: all
seed                       Int64    of the examples' order and of the sampling
covered                    Int64    examples asked for
answers                    Int64    answers there are, failed ones included
failed                     Int64    answers that the engine did not give
engine                     string   the engine's name
slots                      Int64    requests decoded together
size_bytes                 Int64    the weights' file
bits_per_weight            float64  of its tensors
requantized_from           string   tensor type of an already quantized source
warnings                   string   where the tensors contradict the claimed recipe, joined by '; '
peak_memory_bytes          Int64    of the engine's processes
prefill_tokens_per_second  float64  of one request alone
decode_tokens_per_second   float64  of one request alone
wall_seconds               float64  from the first request to the last answer
started                    string   ISO 8601
version                    string   of evalkit
file                       string   the record's path
"""

ANSWERS = """
run                string   see runs
label              string   see runs
benchmark          string   its name, as in benchmark=NAME
id                 string   the example's
turn               Int64    of the dialogue, <NA> outside dialogues
sample             Int64    0 for the first answer to the example
group              string   page, dialogue or file: the clusters of the statistics
gold_kind          string   number, yes_no, choice, label, text, spans, code
gold               string   the gold answer
messages           object   the prompt: (role, content) pairs
text               string   the output, <NA> if there is none
finish_reason      string   stop, length, loop, ...
truncated          boolean  cut off: at the token limit, or as a proven repetition
prompt_tokens      Int64    tokens
completion_tokens  Int64    tokens, reasoning included
error              string   why there is no output
abandoned          boolean  wrong, though the right number was reached on the way
"""

SCORES = """
answer      Int64    the index of the answer in answers
run         string   see runs
label       string   see runs
benchmark   string   see answers
id          string   see answers
turn        Int64    see answers
sample      Int64    see answers
group       string   see answers
rule        string   the rule's name
correct     boolean  <NA>: the rule cannot tell
score       float64  0 to 1; NaN: the rule cannot tell
failure     string   correct, wrong_number, scale_x100, truncated, ...
extracted   string   the text taken as the final answer
span_start  Int64    where it is in the output, in characters
span_end    Int64    the end of it
note        string   why, in a few words
"""

SWEEPS = """
sweep                      string   the sweep's name
member                     string   the member's name
title                      string   the member's title
run                        string   its run, see runs
status                     string   done, partial, failed
reason                     string   why it is not done
reference                  boolean  whether the others are compared with it
rule                       string   the rule that scored
margin                     float64  the loss that still counts as good, a fraction of 1
size_bytes                 Int64    the weights' file
bits_per_weight            float64  of its tensors
recipe                     string   what its tensors are
requantized_from           string   tensor type of an already quantized source
warnings                   string   where the tensors contradict the claimed recipe, joined by '; '
context                    Int64    tokens per slot
slots                      Int64    requests decoded together
peak_memory_bytes          Int64    measured
predicted_memory_bytes     Int64    from the file alone
load_seconds               float64  until the engine serves
prefill_tokens_per_second  float64  of one request alone
decode_tokens_per_second   float64  of one request alone
first_token_seconds        float64  of one request alone
tokens_per_answer          float64  mean over the run
energy_joules              float64  of the machine over the run
wall_seconds               float64  of the run
truncated                  float64  share of answers cut off at the limit
accuracy                   float64  mean over the benchmarks, or on the only one
accuracy_low               float64  its interval
accuracy_high              float64  its interval
difference                 float64  to the reference, paired
difference_low             float64  its interval
difference_high            float64  its interval
verdict                    string   as_good, worse, better, unresolved; <NA> for the reference
needed_n                   Int64    items that would probably settle an unresolved one
file                       string   the sweep's path
"""


_TABLES = {"runs": RUNS, "answers": ANSWERS, "scores": SCORES, "sweeps": SWEEPS}
Runs.__doc__ = f"{Runs.__doc__}\n" + "\n".join(f"{name}:\n{table}" for name, table in _TABLES.items())


def _run(run: Run, name: str, label: str) -> tuple[object, ...]:
    info = run.info
    weights = info.engine.weights
    answers = [sample for item in run.items for sample in item.samples]
    return (
        *(name, label, info.model.name, info.model.family, info.model.parameters),
        *(info.protocol.name, info.generation.temperature, info.generation.max_tokens),
        *(info.protocol.samples, "+".join(sorted({info.data[each].source for each in info.benchmarks}))),
        *(info.selection.limit, info.selection.seed),
        sum(benchmark.covered for benchmark in info.benchmarks.values()),
        len(answers),
        sum(sample.error is not None for sample in answers),
        *(info.engine.engine, info.engine.slots),
        (weights.size_bytes if weights else None) or info.model.size_bytes,
        weights.gguf.bits_per_weight if weights else None,
        weights.requantized_from if weights else None,
        "; ".join(weights.recipe.warnings) if weights else "",
        info.measured.peak_memory_bytes,
        *_fields(info.measured.probe, "prefill_tokens_per_second", "decode_tokens_per_second"),
        *(info.measured.wall_seconds, info.started, info.evalkit.version),
        str(run.path),
    )


def _answer(run: str, label: str, item: Item, sample: Sample) -> tuple[object, ...]:
    truncated = None if sample.finish_reason is None else sample.cut_off
    return (
        *(run, label, item.benchmark, item.id, item.turn, sample.number),
        *(item.group, item.gold_kind, item.gold, sample.messages, sample.text),
        *(sample.finish_reason, truncated, sample.prompt_tokens, sample.completion_tokens),
        *(sample.error, sample.abandoned),
    )


def _scores(answer: int, run: str, label: str, item: Item, sample: Sample) -> Iterator[tuple[object, ...]]:
    key = (answer, run, label, item.benchmark, item.id, item.turn, sample.number, item.group)
    for rule, score in sample.scores.items():
        start, end = score.span or (None, None)
        said = (score.correct, score.value, score.outcome, score.extracted)
        yield (*key, rule, *said, start, end, score.note)


def _facets(facets: list[dict[str, Any]]) -> dict[str, pd.Series[Any]]:
    """A column per facet: Int64 or boolean if all its values are, else string."""
    names = dict.fromkeys(name for each in facets for name in each)
    if len(names) > MAX_FACETS:
        raise UserError(f"the records have {len(names)} facets; at most {MAX_FACETS} can be columns")
    return {f"facet_{name}": _facet([each.get(name) for each in facets]) for name in names}


def _facet(values: list[object]) -> pd.Series[Any]:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int} and all(value is None or abs(value) < 2**63 for value in values):  # type: ignore[arg-type]
        return pd.Series(values, dtype="Int64")
    texts = (value if isinstance(value, str | None) else json.dumps(value) for value in values)
    return pd.Series(list(texts), dtype="string")


def _member(path: Path, sweep: Sweep, member: Member) -> tuple[object, ...]:
    weights, cost = member.weights, member.cost
    scored = list(member.accuracy)
    headline = AVERAGE if AVERAGE in scored else scored[0] if len(scored) == 1 else ""
    accuracy, compared = member.accuracy.get(headline), member.compared(headline)
    difference = compared.difference if compared else None
    return (
        *(sweep.name, member.name, member.title),
        "/".join(PurePosixPath(member.run_dir).parts[-2:]) if member.run_dir else None,
        *(member.status, member.reason, member.name == sweep.reference, sweep.rule, sweep.margin),
        *_fields(weights, "size_bytes", "bits_per_weight", "found", "requantized_from"),
        "; ".join(weights.warnings) if weights else "",
        *_fields(cost, "context", "slots", "peak_memory_bytes"),
        cost.predicted.total if cost and cost.predicted else None,
        *_fields(cost, "load_seconds", "prefill_tokens_per_second", "decode_tokens_per_second"),
        *_fields(cost, "first_token_seconds", "tokens_per_answer", "energy_joules", "wall_seconds"),
        member.truncated,
        *_fields(accuracy, "value", "low", "high"),
        *_fields(difference, "value", "low", "high"),
        *_fields(compared.verdict if compared else None, "kind", "needed_n"),
        str(path),
    )


def _fields(thing: object | None, *names: str) -> tuple[object, ...]:
    return tuple(getattr(thing, name) if thing is not None else None for name in names)


def dtypes(table: str) -> dict[str, str]:
    """Column name -> pandas dtype of one of the tables above."""
    return {words[0]: words[1] for line in table.strip().splitlines() if (words := line.split(maxsplit=2))}


def described(table: str) -> pd.DataFrame:
    """One of the tables above as a DataFrame: column, dtype, meaning."""
    lines = [line.split(maxsplit=2) for line in table.strip().splitlines()]
    return pd.DataFrame(lines, columns=["column", "dtype", "meaning"]).set_index("column")


def frame(table: str, rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    """Rows, with their values in the order of the table's columns, as a DataFrame of its dtypes.

    Raises:
        UserError: a number is too large for any column (a record may be anybody's).
    """
    columns = zip(*rows, strict=True) if rows else ((),) * len(dtypes(table))
    made = {}
    for (name, dtype), values in zip(dtypes(table).items(), columns, strict=True):
        try:
            made[name] = pd.Series(list(values), dtype=dtype)
        except OverflowError as error:
            raise UserError(f"a record has a number in {name} that no column can hold") from error
    return pd.DataFrame(made)


_EXAMPLE = ["run", "benchmark", "id", "turn"]
_ESTIMATE = ["accuracy", "error", "low", "high", "n", "clusters"]
_COUNTS = ["unscored", "failed"]
_NO_GROUPS = ("messages", *_ESTIMATE, *_COUNTS)

_Key = tuple[object, ...]


def accuracy(runs: Runs, by: Sequence[str] = ("label", "benchmark"), rule: str = DEFAULT_) -> pd.DataFrame:
    """Mean scores of examples, with 95 % intervals clustered by page, dialogue or file.

    An example's score is the mean over its samples. Where each row of the result is one cluster (a task of
    Ant_Finance is one file), its examples are the sample.

    Args:
        by: columns of `runs.answers` or `runs.runs`, such as `facet_steps`; answers without a value are
            left out.
        rule: which rule's verdicts.

    Returns:
        The `by` columns and: accuracy, error (standard error), low, high (float64, fractions of 1; NaN where
        unknown), n (scored examples), clusters, unscored (no rule can tell), failed (no answer) (Int64).

    Raises:
        UserError: no such column or rule.
    """
    by = _columns(by)
    items = _items(runs, by, rule)
    found = [(key, *_row(estimate, part)) for key, part, estimate in _estimates(items, by)]
    return _table(by, _COUNTS, found)


def average(runs: Runs, by: Sequence[str] = ("label",), rule: str = DEFAULT_) -> pd.DataFrame:
    """The plain mean over benchmarks, whatever their sizes, of `accuracy` by `by` and benchmark.

    Returns:
        As `accuracy`, with `benchmarks` (how many were averaged, Int64) in place of unscored and failed.

    Raises:
        UserError: no such column or rule.
    """
    by = _columns(by)
    parts: dict[_Key, list[Estimate]] = {}
    for (*key, _), _, estimate in _estimates(_items(runs, [*by, "benchmark"], rule), [*by, "benchmark"]):
        parts.setdefault(tuple(key), []).extend([estimate] if estimate else [])
    found = [
        (key, _estimate_fields(average_estimate(some)), (len(some),)) for key, some in parts.items() if some
    ]
    return _table(by, ["benchmarks"], found)


def _columns(by: Sequence[str]) -> list[str]:
    if isinstance(by, str):
        by = [by]
    if not by:
        raise UserError('by: give at least one column, such as by=["label"]')
    return list(dict.fromkeys(by))


def _items(runs: Runs, by: Sequence[str], rule: str) -> pd.DataFrame:
    """One row per example: the `by` columns, its score (NaN without one), cluster, whether it failed."""
    rules = sorted(runs.scores["rule"].unique())
    if rule not in rules:
        raise UserError(f"no verdicts of a rule {rule!r}; rules: {', '.join(rules)}.{nearest(rule, rules)}")
    known = [str(name) for name in (*runs.answers, *runs.runs) if name not in _NO_GROUPS]
    unknown = [name for name in by if name not in known]
    if unknown:
        raise UserError(f"by: no column {unknown[0]!r}.{nearest(unknown[0], known)}")
    judged = runs.scores.loc[runs.scores["rule"] == rule].set_index("answer")["score"]
    answers = runs.answers.assign(score=judged, failed=runs.answers["error"].notna())
    of_runs = [name for name in by if name not in runs.answers]
    if of_runs:
        answers = answers.merge(runs.runs[["run", *of_runs]], on="run")
    # Pages of two benchmarks may have the same name.
    answers["cluster"] = answers["benchmark"] + "\0" + answers["group"]
    keys = list(dict.fromkeys([*by, *_EXAMPLE]))
    examples = answers.dropna(subset=list(by)).groupby(keys, sort=False, dropna=False)
    return examples.agg(
        score=("score", "mean"), failed=("failed", "any"), cluster=("cluster", "first")
    ).reset_index()


def _estimates(items: pd.DataFrame, by: list[str]) -> Iterator[tuple[_Key, pd.DataFrame, Estimate | None]]:
    """Every combination of the `by` columns, in the order of its first example, with its examples."""
    parts = list(items.groupby(by, sort=False))
    scored = [part.dropna(subset="score") for _, part in parts]
    alone = all(part["cluster"].nunique() <= 1 for part in scored)
    for (key, part), some in zip(parts, scored, strict=True):
        clusters = [str(at) for at in some.index] if alone else list(some["cluster"])
        yield key, part, mean_estimate(list(some["score"]), clusters) if len(some) else None


def _row(estimate: Estimate | None, part: pd.DataFrame) -> tuple[_Key, _Key]:
    without = part["score"].isna()
    failed = int((without & part["failed"]).sum())
    return _estimate_fields(estimate), (int(without.sum()) - failed, failed)


def _estimate_fields(estimate: Estimate | None) -> _Key:
    if estimate is None:
        return (None, None, None, None, 0, 0)
    return estimate.value, estimate.error, estimate.low, estimate.high, estimate.n, estimate.clusters


def _table(by: list[str], counts: list[str], found: Sequence[tuple[_Key, _Key, _Key]]) -> pd.DataFrame:
    rows: list[_Key] = [(*key, *estimate, *rest) for key, estimate, rest in found]
    dtypes: dict[str, Any] = dict.fromkeys(_ESTIMATE[:4], "float64") | dict.fromkeys(
        [*_ESTIMATE[4:], *counts], "Int64"
    )
    return pd.DataFrame(rows, columns=[*by, *_ESTIMATE, *counts]).astype(dtypes)


FLIPS = """
benchmark    string  see answers
id           string  see answers
turn         Int64   see answers
group        string  see answers
gold         string  see answers
gold_kind    string  see answers
answer_a     Int64   the index of the answer in answers
answer_b     Int64   the index of the answer in answers
extracted_a  string  the text taken as the final answer
extracted_b  string  the text taken as the final answer
change       string  both_right, same_wrong, right_to_wrong, wrong_to_right, wrong_to_other_wrong
"""

_Pair = tuple[tuple[int, GradedAnswer], tuple[int, GradedAnswer]]


def flips(runs: Runs, a: str, b: str, rule: str = DEFAULT_) -> pd.DataFrame:
    """Every example with one right-or-wrong answer in both runs, and what changed from `a` to `b`.

    Two wrong answers are the same if they say the same (number, letter, word), as `evalkit compare` has it.

    Args:
        a, b: labels, models' names or run ids, `a` the reference.

    Returns:
        benchmark, id, turn, group, gold, gold_kind (as in `runs.answers`), answer_a, answer_b (index in
        `runs.answers`), extracted_a, extracted_b (string), change (string): both_right, same_wrong,
        right_to_wrong, wrong_to_right or wrong_to_other_wrong.

    Raises:
        UserError: no such run or rule, nothing in common, or an example that was asked in different words.
    """
    ours, theirs = (_judged(runs, runs.find(name), rule) for name in (a, b))
    pairs = [(answer, theirs[key]) for key, answer in ours.items() if key in theirs]
    if not pairs:
        raise UserError(f"{a} and {b} have no examples in common that rule {rule} has judged once in both")
    for pair in pairs:
        _check_same_question(pair, a, b)
    return frame(FLIPS, [_flip(pair) for pair in pairs])


def _judged(runs: Runs, run: str, rule: str) -> dict[tuple[str, str, int | None], tuple[int, GradedAnswer]]:
    """The judged answers of a run by their examples, with their index in `answers`.

    Of several samples it is not to be told which should stand beside which of another run.
    """
    return {
        (item.benchmark, item.id, item.turn): (at, answer)
        for at, (name, item, _) in enumerate(runs.each_answer())
        if name == run and (answer := only_answer(item, rule))
    }


def _check_same_question(pair: _Pair, a: str, b: str) -> None:
    (_, ours), (_, theirs) = pair
    same_gold = ours.item.gold == theirs.item.gold
    if not same_gold or _question(ours.sample) != _question(theirs.sample):
        what = "prompts" if same_gold else "gold answers"
        raise UserError(
            f"{a} and {b} cannot be compared: {ours.item.benchmark} {ours.item.id!a:.80} has other {what}"
        )


def _question(sample: Sample) -> list[tuple[str, str]]:
    """The prompt without what the model itself said earlier in the dialogue, which may differ."""
    return [message for message in sample.messages if message[0] != "assistant"]


def _flip(pair: _Pair) -> tuple[object, ...]:
    (at, ours), (beside, theirs) = pair
    item = ours.item
    change = flip_kind(ours, theirs) or ("both_right" if ours.score.correct else "same_wrong")
    return (
        *(item.benchmark, item.id, item.turn, item.group, item.gold, item.gold_kind, at, beside),
        *(ours.score.extracted, theirs.score.extracted, change),
    )


_HIDDEN = ("Cc", "Cf", "Cs")

MOST = 6_000
"""Characters of a prompt or an output that are shown; the middle of a longer one is left out."""


@dataclass(frozen=True, slots=True, repr=False)
class Reading:
    """An answer. `output` is split into what is before, in, and after the extracted answer."""

    title: str
    prompt: str
    gold: str
    output: tuple[str, str, str]
    verdicts: tuple[str, ...]

    def __str__(self) -> str:
        before, extracted, after = self.output
        marked = f"{before}⟦{extracted}⟧{after}" if extracted else before
        parts = {
            "prompt": self.prompt,
            "gold": self.gold,
            "output": marked,
            "rules": "\n".join(self.verdicts),
        }
        return "\n\n".join([self.title, *(f"{name.upper()}\n{text}" for name, text in parts.items())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For Jupyter: model output is somebody else's text, and is only ever shown as text."""
        before, extracted, after = map(escape, self.output)
        output = f"{before}<mark>{extracted}</mark>{after}" if extracted else before
        parts = {
            "Prompt": escape(self.prompt),
            "Gold": escape(self.gold),
            "Output": output,
            "Rules": escape("\n".join(self.verdicts)),
        }
        style = "white-space: pre-wrap; max-height: 24em; overflow-y: auto; margin: 0 0 0.8em"
        body = "".join(f'<b>{name}</b><pre style="{style}">{text}</pre>' for name, text in parts.items())
        # Amounts in dollars are no formulas.
        return f'<div class="tex2jax_ignore mathjax_ignore"><h4>{escape(self.title)}</h4>{body}</div>'


def read(runs: Runs, answer: int) -> Reading:
    """The answer with this index in `runs.answers`.

    Raises:
        UserError: there is none.
    """
    if answer not in runs.answers.index:
        raise UserError(f"no answer {answer}: they go from 0 to {len(runs.answers) - 1}")
    row = runs.answers.loc[answer].astype("object")
    scores = runs.scores.loc[runs.scores["answer"] == answer]
    turn = f", turn {row['turn']}" if isinstance(row["turn"], int) else ""
    text = row["text"]
    nothing = (_visible(f"(no answer: {row['error']})"), "", "")
    return Reading(
        title=_visible(f"{row['label']}: {row['benchmark']} {row['id']}{turn}"),
        prompt=_visible(_short("\n\n".join(f"[{role}] {content}" for role, content in row["messages"]))),
        gold=_visible(_short(str(row["gold"]))),
        output=_split(text, scores) if isinstance(text, str) else nothing,
        verdicts=tuple(_visible(line) for line in _verdicts(scores)),
    )


def _split(text: str, scores: pd.DataFrame) -> tuple[str, str, str]:
    """The output before, in and after what the default rule took as the answer."""
    spans = scores.loc[(scores["rule"] == DEFAULT_) & scores["span_start"].notna()]
    start, end = (len(text), len(text)) if spans.empty else spans[["span_start", "span_end"]].iloc[0]
    if not 0 <= start <= end <= len(text):
        start = end = len(text)
    # The answer is most often near the end, so the beginning of a long output gives way.
    before, after = _short(text[:start], MOST // 2), _short(text[end:], MOST // 2)
    return _visible(before), _visible(_short(text[start:end])), _visible(after)


def _verdicts(scores: pd.DataFrame) -> Iterator[str]:
    for score in scores.sort_values("rule").astype("object").to_dict("records"):
        extracted = score["extracted"] if isinstance(score["extracted"], str) else "no answer"
        yield f"{score['rule']}: {score['failure']} ({' '.join(extracted.split())[:80]})"


def _short(text: str, most: int = MOST) -> str:
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters …]\n{text[-half:]}"


def _visible(text: str) -> str:
    """Without what moves a terminal's cursor or turns the direction of writing."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in _HIDDEN else "�" for c in text)

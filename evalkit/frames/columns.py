"""The columns of the tables: their names, dtypes and units, in one place for code and reader.

Missing values are `<NA>`, or NaN in float columns. Memory and file sizes are in bytes, times in seconds,
speeds in tokens per second, accuracies and their limits fractions of 1. Intervals are 95 % ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from evalkit.errors import UserError

RUNS = """
run                        string   <model>/<run id>: the run's name in every table
label                      string   the model's title, with the run id where several runs have that title
model                      string   the model's name, as in +model=NAME
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
gold_kind          string   number, yes_no, choice, label, text
gold               string   the gold answer
messages           object   the prompt: (role, content) pairs
text               string   the output, <NA> if there is none
finish_reason      string   stop, length, ...
truncated          boolean  cut off at the token limit
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

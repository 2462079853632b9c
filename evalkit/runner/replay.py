"""Outputs made elsewhere as the generations of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.backends.replay import Replay
from evalkit.benchmarks import Loaded
from evalkit.errors import UserError
from evalkit.runner.answers import open_answers
from evalkit.runner.folder import RunFolder
from evalkit.runner.provenance import now, provenance
from evalkit.runner.record import Generation, Writer, generation
from evalkit.runner.request import Request
from evalkit.runner.session import measured


def replay(
    folder: RunFolder,
    config: Mapping[str, Any],
    data: Mapping[str, Loaded],
    requests: Sequence[Request],
    source: Replay,
) -> tuple[list[Generation], dict[str, Any], int]:
    """Take the recorded outputs as the run's generations.

    Returns:
        The records, the content of run.json, and how many requests have no recorded output: they are left
        out, not scored 0.
    """
    answers = open_answers(config, source.identity(), folder, requests)
    writer = Writer(folder.generations)
    fresh = []
    for request in requests:
        completion = source.find(request)
        messages = answers.messages(request)
        if completion is None or messages is None or answers.record(request) is not None:
            continue
        record = generation(request, answers.key(request, messages), messages, completion)
        answers.add(record)
        fresh.append(record)
    writer.append(fresh)
    writer.close()
    if not answers.records:
        raise UserError(
            f"{source.path}: none of its {len(source.outputs)} outputs belongs to an example of this run"
        )
    done = now()
    run = {
        **provenance(config, {name: loaded.provenance for name, loaded in data.items()}),
        "engine": {**source.identity(), "path": str(source.path)},
        "outputs_unused": source.unused(requests),
        "started": done,
        "ended": done,
        "sessions": [],
        "measured": measured([], answers.records, None),
    }
    folder.write_json("run.json", run)
    return answers.records, run, len(requests) - len(answers.records)

"""Every reader of what strangers wrote: a typed result or the documented error, soon, whatever the bytes.

What was found once stands as a plain case at the end of the file.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from evalkit.benchmarks import load
from evalkit.engines.client import (
    BrokenAnswer,
    Refused,
    Transient,
    _entries,
    asked_to_wait,
    choose,
    failure_of,
    read_answer,
    says_overflow,
)
from evalkit.engines.replay import read_replay
from evalkit.files import BENCHMARKS
from evalkit.importers import Settings, convert
from evalkit.metrics import results
from evalkit.run.folder import generation, read_run_json, read_settings
from evalkit.run.generations import (
    line_of,
    mended_line,
    read_generations,
    rewrite,
    seal_of,
    sealed,
    unsealed,
)
from evalkit.run.record import load_run, to_bytes
from evalkit.schema import Completion, Message, Request, UserError
from evalkit.weights.gguf import geometry, read_model, summary, tokenizer_sha256
from tests.benchmarks.helpers import dialogue, finqa_record
from tests.contract.commands import RESULTS
from tests.fuzz.mutations import bounded, bytes_like, dumped, json_like
from tests.gguf.test_gguf_header import write_small
from tests.importers.helpers import LOGS
from tests.runner.test_record import record
from tests.runner.toy import example as toy
from tests.settings import benchmark_settings, local

Json = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_small(tmp_path_factory.mktemp("gguf") / "small.gguf", vocabulary=5)


@given(data=st.data())
def test_gguf_headers(data: st.DataObject, gguf: bytes, folder: Path) -> None:
    path = folder / "x.gguf"
    path.write_bytes(data.draw(bytes_like(gguf)))

    def read() -> None:
        header = read_model(path)
        assert json.dumps([summary(header), geometry(header), tokenizer_sha256(header)])

    bounded(read, UserError)


ANSWERS = [record("a"), record("b"), record("c", "engine_error: x")]


def lines() -> list[Json]:
    link, found = "", []
    for answer in ANSWERS:
        line, link = line_of(link, answer)
        found.append(json.loads(line))
    return found


@given(
    content=st.one_of(
        json_like(lines()).map(lambda found: b"".join(dumped(line) + b"\n" for line in _several(found))),
        bytes_like(b"".join(dumped(line) + b"\n" for line in lines())),
    )
)
def test_generations(content: bytes, folder: Path) -> None:
    path = folder / "generations.jsonl"
    path.write_bytes(content)

    def read() -> None:
        found = read_generations(path)
        rewrite(path, found)
        assert read_generations(path) == found

    bounded(read, UserError)


def _several(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else [value]


def _small_record() -> list[Json]:
    path = min((RESULTS / "records").glob("*/*.gz"))
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        head, *rows = [json.loads(line) for line in file.read().split("\n")[:-1]]
    of = {row["benchmark"]: row for row in rows}
    for row in of.values():
        row["messages"] = [[role, text[:200]] for role, text in row["messages"]]
    return [head, *of.values()]


SMALL_RECORD = _small_record()


@given(
    content=st.one_of(
        json_like(SMALL_RECORD).map(lambda found: b"".join(dumped(line) + b"\n" for line in _several(found))),
        bytes_like(b"".join(dumped(line) + b"\n" for line in SMALL_RECORD)),
    )
)
def test_records(content: bytes, folder: Path) -> None:
    path = folder / "record.jsonl.gz"
    path.write_bytes(gzip.compress(content, 1))

    def read() -> None:
        run = load_run(path)
        assert results(run)
        path.write_bytes(to_bytes(run))
        assert load_run(path).items == run.items

    bounded(read, UserError)


@given(data=st.data())
def test_packed_records(data: st.DataObject, folder: Path) -> None:
    path = folder / "packed.jsonl.gz"
    whole = gzip.compress(b"".join(dumped(line) + b"\n" for line in SMALL_RECORD), 1)
    path.write_bytes(data.draw(bytes_like(whole)))
    bounded(lambda: load_run(path), UserError)


def _converted(format_: str, path: Path) -> None:
    out = path.with_name("out.jsonl")
    out.unlink(missing_ok=True)
    convert(format_, [path], out, Settings())
    read_replay(out)


LM_EVAL = [
    json.loads(line)
    for name in ("finqa", "choice")
    for line in (LOGS / f"lm_eval_0.4.13_{name}.jsonl").open()
]


@given(
    content=st.one_of(
        json_like(LM_EVAL[:3]).map(lambda found: b"".join(dumped(line) + b"\n" for line in _several(found))),
        bytes_like((LOGS / "lm_eval_0.4.13_tfns.jsonl").read_bytes()),
    )
)
def test_logs_of_lm_eval(content: bytes, folder: Path) -> None:
    path = folder / "samples.jsonl"
    path.write_bytes(content)
    bounded(lambda: _converted("lm_eval", path), UserError)


def _inspect() -> Json:
    log: Json = json.loads((LOGS / "inspect_ai_0.3.285_finqa.json").read_text())
    return {**log, "samples": log["samples"][:2]}


@given(content=st.one_of(json_like(_inspect()).map(dumped), bytes_like(dumped(_inspect()))))
def test_logs_of_inspect(content: bytes, folder: Path) -> None:
    path = folder / "log.json"
    path.write_bytes(content)
    bounded(lambda: _converted("inspect_ai", path), UserError)


@given(content=bytes_like((LOGS / "inspect_ai_0.3.285_finqa.eval").read_bytes()))
def test_packed_logs_of_inspect(content: bytes, folder: Path) -> None:
    path = folder / "log.eval"
    path.write_bytes(content)
    bounded(lambda: _converted("inspect_ai", path), UserError)


REPLAY = [{"id": "a", "text": "x", "turn": 0, "sample": 1, "benchmark": "finqa", "finish_reason": "stop"}]


@given(content=st.one_of(json_like(REPLAY[0]).map(dumped), bytes_like(dumped(REPLAY[0]))))
def test_recorded_outputs(content: bytes, folder: Path) -> None:
    path = folder / "outputs.jsonl"
    path.write_bytes(content)

    def read() -> None:
        for completion in read_replay(path).outputs.values():
            _stored(completion)

    bounded(read, UserError)


def _stored(completion: Completion) -> None:
    """What a run does with every answer must be possible with this one."""
    answer = generation(Request(toy("a"), 0), "0" * 32, [Message("user", "x")], completion)
    line, _ = line_of("", answer)
    assert line.encode().count(b"\n") == 1


def _data(name: str, folder: Path, file: str, content: bytes) -> None:
    path = folder / name / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)

    def read() -> None:
        loaded = load(benchmark_settings(name), local(folder), limit=None, seed=0, sampling="item")
        assert json.dumps(loaded.provenance)
        for each in loaded.examples:
            assert all(isinstance(m, Message) and m.content.encode() for m in each.messages[-1:])

    bounded(read, UserError)


@given(
    content=st.one_of(
        json_like([finqa_record(1), finqa_record(2)]).map(dumped), bytes_like(dumped([finqa_record()]))
    )
)
def test_data_of_finqa(content: bytes, folder: Path) -> None:
    _data("finqa", folder, "test.json", content)


@given(content=st.one_of(json_like([dialogue(1)]).map(dumped), bytes_like(dumped([dialogue()]))))
def test_data_of_convfinqa(content: bytes, folder: Path) -> None:
    _data("convfinqa", folder, "dev.json", content)


TFNS = (BENCHMARKS / "tfns" / "sample" / "sent_valid.csv").read_bytes()


@given(content=bytes_like(TFNS[:600]))
def test_data_of_tfns(content: bytes, folder: Path) -> None:
    _data("tfns", folder, "sent_valid.csv", content)


ANT = sorted((BENCHMARKS / "ant_finance" / "sample").rglob("*.csv"))[0]


@given(content=bytes_like(ANT.read_bytes()[:1500]))
def test_data_of_ant_finance(content: bytes, folder: Path) -> None:
    _data("ant_finance", folder, str(ANT.relative_to(BENCHMARKS / "ant_finance" / "sample")), content)


INSTRUCT = (BENCHMARKS / "finance_instruct" / "sample" / "train.jsonl").read_bytes().splitlines()[:2]


@given(
    content=st.one_of(
        json_like([json.loads(line) for line in INSTRUCT]).map(
            lambda found: b"\n".join(map(dumped, _several(found)))
        ),
        bytes_like(b"\n".join(INSTRUCT)),
    )
)
def test_data_of_finance_instruct(content: bytes, folder: Path) -> None:
    _data("finance_instruct", folder, "train.jsonl", content)


REPLY: Json = {
    "id": "x",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "42",
                "reasoning_content": "6 times 7",
                "refusal": None,
            },
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}},
    "timings": {"prompt_ms": 5.5, "predicted_ms": 7},
}
IN_PARTS: Json = {
    "choices": [
        {
            "message": {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "so"}]},
                    {"type": "text", "text": "42"},
                    "x",
                ]
            },
            "finish_reason": "model_length",
        }
    ]
}
ERROR: Json = {
    "error": {"message": "maximum context length is 8 tokens", "code": 400, "type": "x", "metadata": {}}
}


@given(
    content=st.one_of(
        json_like(REPLY).map(dumped),
        json_like(IN_PARTS).map(dumped),
        json_like(ERROR).map(dumped),
        bytes_like(dumped(REPLY)),
    )
)
def test_replies_of_services(content: bytes) -> None:
    def read() -> None:
        try:
            _stored(read_answer(content, 1.0))
        except BrokenAnswer as error:
            fields = getattr(error, "fields", {})
            says_overflow(fields)
            status = getattr(error, "status", 502)
            failure = failure_of(status, fields, {}, "key", billed=True)
            assert "\n" not in str(failure)
            raise

    bounded(read, BrokenAnswer)


@given(
    content=st.one_of(
        json_like(
            {"data": [{"id": "m", "owned_by": "x", "root": "/w", "max_model_len": 8, "created": 1}]}
        ).map(dumped),
        bytes_like(b'{"object": "list", "data": [{"id": "m", "created": 1.5}, {"id": "n"}]}'),
    )
)
def test_lists_of_models(content: bytes) -> None:
    bounded(lambda: choose(_entries(content), None, ["m"], "host"), UserError, Refused, Transient)


@given(
    value=st.one_of(
        st.text(max_size=30), st.sampled_from(("1e999", "-1", "nan", "Wed, 21 Oct 2015 07:28:00 GMT"))
    )
)
@example("Wed, 21 Oct 99999 07:28:00 GMT")
def test_when_to_ask_again(value: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        bounded(lambda name=name: asked_to_wait({name: value}))  # type: ignore[misc]


RUN_JSON: Json = {
    "schema": 1,
    **{name: {} for name in ("sampling", "data", "engine", "hardware", "evalkit")},
    "sessions": [{"wall_seconds": 1.0, "engine_seconds": 1, "load_seconds": None}],
    "answers": {"count": 3, "link": "0" * 32, "mended": [{"dropped": [["a", "b", None, 0]]}]},
    "measured": {
        "prompt_tokens_computed": 1,
        "prompt_tokens_distinct": None,
        "wall_seconds": 1.0,
        "engine_seconds": 1.0,
        "peak_memory_bytes": None,
    },
}


@given(content=st.one_of(json_like(RUN_JSON).map(dumped), bytes_like(dumped(RUN_JSON))))
def test_run_json(content: bytes, folder: Path) -> None:
    (folder / "run.json").write_bytes(content)

    def read() -> None:
        run = read_run_json(folder)
        mended_line(run), unsealed(run)
        if seal := seal_of(run):
            sealed(seal, run)

    bounded(read, UserError)


def _config() -> Json:
    from evalkit.config.settings import run_settings

    settings = run_settings(["+model=replay", "model.path=x", "data=sample", "benchmark=[tfns]"])
    plain: Json = settings.model_dump(mode="json")
    return plain


CONFIG = _config()


@given(
    content=st.one_of(
        json_like(CONFIG).map(dumped), bytes_like(yaml.safe_dump(CONFIG, allow_unicode=True).encode())
    )
)
def test_configs_of_runs(content: bytes, folder: Path) -> None:
    (folder / "config.yaml").write_bytes(content)
    bounded(lambda: read_settings(folder), UserError)


def test_found_a_finish_reason_that_no_file_can_hold(folder: Path) -> None:
    path = folder / "outputs.jsonl"
    path.write_bytes(dumped({**REPLAY[0], "finish_reason": "\ud800"}))
    _stored(*read_replay(path).outputs.values())


@pytest.mark.parametrize("dropped", [None, 5, "x", {}])
def test_found_a_mended_chain_that_dropped_no_list(dropped: object) -> None:
    assert "mended 1 times, 0 answers" in str(mended_line({"answers": {"mended": [{"dropped": dropped}]}}))


def test_found_brackets_without_end_in_a_run_folder(folder: Path) -> None:
    deep = b"[" * 20_000
    (folder / "run.json").write_bytes(deep)
    with pytest.raises(UserError, match=r"run\.json cannot be read: RecursionError"):
        read_run_json(folder)
    (folder / "config.yaml").write_bytes(deep)
    with pytest.raises(UserError, match=r"config\.yaml cannot be read: RecursionError"):
        read_settings(folder)

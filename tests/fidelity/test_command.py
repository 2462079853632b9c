"""`evalkit fidelity` with the real small model: itself, a slow formula, damage, kills and bad input."""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFWriter
from numpy.typing import NDArray

from evalkit.__main__ import main
from evalkit.children.arrays import Broken, Content, read
from evalkit.files import sha256_of
from evalkit.run.record import to_bytes
from evalkit.run.runner import read_run
from evalkit.schema import rank
from tests.fidelity.conftest import engine

pytestmark = engine


def _contents(path: Path) -> dict[str, Content]:
    """The messages of a file."""
    found = {}
    with path.open("rb") as file:
        while (content := read(file)) is not None:
            found[str(content.head["key"])] = content
    return found


def _whole(path: Path) -> dict[str, Content]:
    """The messages of a file whose last one may be cut off."""
    found = {}
    with path.open("rb") as file, contextlib.suppress(Broken):
        while (content := read(file)) is not None:
            found[str(content.head["key"])] = content
    return found


def _only(folder: Path) -> Path:
    (found,) = [path for path in folder.iterdir() if path.is_dir()]
    return found


@pytest.fixture(scope="session")
def measured(
    tmp_path_factory: pytest.TempPathFactory, reference_run: Path, small: Path, swapped: Path, coarser: Path
) -> Path:
    """The folder of one measurement of three files."""
    out = tmp_path_factory.mktemp("fidelity")
    files = map(str, (small, swapped, coarser))
    assert main(["fidelity", str(reference_run), *files, f"out={out}", "top=16", "threads=1"]) == 0
    return _only(out)


@pytest.fixture(scope="session")
def figures(measured: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((measured / "fidelity.json").read_text(encoding="utf-8"))
    return found


def test_a_file_is_the_reference_to_itself(figures: dict[str, Any], small: Path) -> None:
    itself = figures["files"][0]
    assert itself["name"] == small.name
    means = itself["benchmarks"]["tfns"]["means"]
    assert (means["kl"]["value"], means["agreement"]["value"], means["change"]["value"]) == (0, 1, 0)
    assert all(answer["any_flip"] == 0 for answer in itself["benchmarks"]["tfns"]["answers"])


def test_the_figures_as_json(
    measured: Path,
    figures: dict[str, Any],
    reference_run: Path,
    small: Path,
    swapped: Path,
    coarser: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = map(str, (small, swapped, coarser))
    out = f"out={measured.parent}"
    capsys.readouterr()
    assert main(["fidelity", str(reference_run), *files, out, "top=16", "threads=1", "json=true"]) == 0
    assert json.loads(capsys.readouterr().out) == figures


def test_two_swapped_layers_are_far_off(figures: dict[str, Any], swapped: Path, coarser: Path) -> None:
    by_name = {file["name"]: file["average"] for file in figures["files"]}
    damaged, requantized = by_name[swapped.name], by_name[coarser.name]
    assert damaged["kl"]["value"] > 1
    assert damaged["agreement"]["value"] < 0.7
    assert 0.01 < requantized["kl"]["value"] < damaged["kl"]["value"] / 3
    (first, second) = figures["differences"]
    assert (first["file"], second["file"]) == (coarser.name, swapped.name)
    assert second["kl"]["low"] > 0


def test_prompts_that_share_a_prefix_are_computed_once(figures: dict[str, Any]) -> None:
    distinct = figures["distinct_prompt_tokens"]
    for cost in (figures["reference_cost"], *(file["cost"] for file in figures["files"])):
        assert distinct <= cost["prompt_computed"] < 1.2 * distinct
    assert figures["answers"] == 3
    tokens = [answer["tokens"] for answer in figures["files"][0]["benchmarks"]["tfns"]["answers"]]
    assert sum(tokens) == figures["predicted"]


def test_the_markdown_names_every_file_and_says_that_it_is_a_lower_bound(
    measured: Path, figures: dict[str, Any]
) -> None:
    text = (measured / "fidelity.md").read_text(encoding="utf-8")
    assert "lower bound" in text
    assert all(file["name"].replace("_", "\\_") in text or file["name"] in text for file in figures["files"])


class _Slow:
    """A file's probabilities, one prompt at a time: no cache, one batch, float64 throughout."""

    def __init__(self, path: Path) -> None:
        import llama_cpp

        self._llama: Any = llama_cpp
        llama_cpp.llama_log_set(llama_cpp.llama_log_callback(), None)
        self._model = llama_cpp.llama_model_load_from_file(
            os.fsencode(path), llama_cpp.llama_model_default_params()
        )
        self._size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))

    def probabilities(self, tokens: list[int]) -> NDArray[np.float64]:
        """Of the token after each of `tokens`, (n, vocabulary)."""
        params = self._llama.llama_context_default_params()
        params.n_ctx, params.n_threads, params.n_threads_batch, params.flash_attn_type = 512, 1, 1, 0
        context = self._llama.llama_init_from_model(self._model, params)
        batch = self._llama.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for place, token in enumerate(tokens):
            batch.token[place], batch.pos[place], batch.logits[place] = token, place, True
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
        assert self._llama.llama_decode(context, batch) == 0
        pointer = self._llama.llama_get_logits(context)
        shape = (len(tokens), self._size)
        logits = np.array(np.ctypeslib.as_array(pointer, shape=shape), dtype=np.float64)
        self._llama.llama_free(context)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        found: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
        return found

    def tokens(self, text: str, special: bool) -> list[int]:
        vocabulary = self._llama.llama_model_get_vocab(self._model)
        room = (ctypes.c_int32 * 4096)()
        raw = text.encode()
        count = self._llama.llama_tokenize(vocabulary, raw, len(raw), room, 4096, False, special)
        return list(room[:count])


def _chat(messages: list[dict[str, str]]) -> str:
    """SmolLM2's chat template, by hand, with its own system message."""
    system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    turns = (
        messages if messages[0]["role"] == "system" else [{"role": "system", "content": system}, *messages]
    )
    text = "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in turns)
    return f"{text}<|im_start|>assistant\n"


def test_a_slow_formula_says_the_same(
    measured: Path, figures: dict[str, Any], reference_run: Path, small: Path, coarser: Path
) -> None:
    one, other = _Slow(small), _Slow(coarser)
    lines = (reference_run / "generations.jsonl").read_text(encoding="utf-8").splitlines()
    answers = {
        answer["id"]: answer
        for file in figures["files"]
        if file["name"] == coarser.name
        for answer in file["benchmarks"]["tfns"]["answers"]
    }
    for record in map(json.loads, lines[:3]):
        prompt, text = one.tokens(_chat(record["messages"]), True), one.tokens(record["text"], False)
        ended = record["finish_reason"] == "stop"
        fed = prompt + (text if ended else text[:-1])
        p, q = (model.probabilities(fed)[len(prompt) - 1 :] for model in (one, other))
        ids = np.argsort(-p, axis=1)[:, :16]
        kept_p, kept_q = (np.take_along_axis(x, ids, 1) for x in (p, q))
        rest_p, rest_q = 1 - kept_p.sum(1), 1 - kept_q.sum(1)
        kl = (kept_p * np.log(kept_p / kept_q)).sum(1) + rest_p * np.log(rest_p / rest_q)
        found = answers[record["id"]]
        assert found["tokens"] == len(kl)
        assert found["kl"] == pytest.approx(kl.mean(), abs=1e-4)
        assert found["agreement"] == np.mean(p.argmax(1) == q.argmax(1))
        if not ended:
            places = np.arange(len(text))
            change = np.log(q[places, text] / p[places, text]).mean()
            assert found["change"] == pytest.approx(change, abs=1e-3)


def test_killed_it_goes_on_and_finds_the_same(
    tmp_path: Path, measured: Path, reference_run: Path, coarser: Path
) -> None:
    arguments = ["fidelity", str(reference_run), str(coarser), f"out={tmp_path}", "top=16", "threads=1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "evalkit", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size for path in tmp_path.glob("*/reference.answers")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = (_only(tmp_path) / "reference.answers").read_bytes()
    assert main(arguments) == 0
    # What was there is kept: an answer that was computed again would have taken other seconds.
    (tmp_path / "before").write_bytes(before)
    after = _contents(_only(tmp_path) / "reference.answers")
    early = _whole(tmp_path / "before")
    assert len(early) > 0
    assert all(after[key].head == content.head for key, content in early.items())
    for name in ("reference.answers", next(measured.glob("small-q4_0-*.answers")).name):
        resumed, undisturbed = _contents(_only(tmp_path) / name), _contents(measured / name)
        assert resumed.keys() == undisturbed.keys()
        for key, content in resumed.items():
            for array, values in content.arrays.items():
                assert (values == undisturbed[key].arrays[array]).all()


def _refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["fidelity", *arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("evalkit: ")
    assert "\n" not in said
    return said


def _gguf(path: Path, architecture: str, tokens: list[str], context: int = 8192) -> Path:
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(context)
    writer.add_token_list(tokens)
    writer.add_tensor("token_embd.weight", np.zeros((2, 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_files_that_cannot_be_compared(
    tmp_path: Path, reference_run: Path, small: Path, swapped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = str(reference_run), f"out={tmp_path / 'out'}"
    other = _gguf(tmp_path / "other.gguf", "qwen2", ["a", "b"])
    assert "architecture qwen2" in _refused(capsys, run, str(other), out)
    words = _gguf(tmp_path / "words.gguf", "llama", ["a", "b"])
    assert "another vocabulary" in _refused(capsys, run, str(words), out)
    text = tmp_path / "text.gguf"
    text.write_text("no model at all, but long enough to be one")
    assert "not a usable GGUF file" in _refused(capsys, run, str(text), out)
    assert "is not a file" in _refused(capsys, run, str(tmp_path / "none.gguf"), out)
    assert "context=32: the longest prompt" in _refused(capsys, run, str(small), out, "context=32")
    assert "made by none" in _refused(capsys, run, str(swapped), out, f"runs=[{run}]")
    assert "twice" in _refused(capsys, run, str(small), str(small), out)
    assert "give a run and files" in _refused(capsys, run)


def test_runs_that_are_no_reference(
    tmp_path: Path,
    reference_run: Path,
    small: Path,
    coarser: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    head, *rows = gzip.decompress(to_bytes(read_run(reference_run))).splitlines()

    def record(name: str, head: dict[str, Any], rows: list[dict[str, Any]]) -> str:
        path = tmp_path / f"{name}.jsonl.gz"
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, [head, *rows])).encode() + b"\n"))
        return str(path)

    good, lines = json.loads(head), list(map(json.loads, rows))
    file, out = str(small), f"out={tmp_path / 'out'}"
    sampled = {**good, "sampling": {**good["sampling"], "temperature": 0.6}}
    assert "sampled (temperature 0.6)" in _refused(capsys, record("sampled", sampled, lines), file, out)
    empty = [{**line, "text": None, "error": "engine_error: gone"} for line in lines]
    assert "has no answers" in _refused(capsys, record("empty", good, empty), file, out)
    remote = {**good, "engine": {**good["engine"], "engine": "remote"}}
    assert "a run of a GGUF file" in _refused(capsys, record("remote", remote, lines), file, out)
    served = {**good, "engine": {**good["engine"], "engine": "vllm"}}
    assert "give the run's folder" in _refused(capsys, record("served", served, lines), file, out)
    plain = record("plain", good, lines)
    assert "give reference=FILE.gguf" in _refused(capsys, plain, file, out)
    assert "is not the file that made" in _refused(capsys, plain, file, f"reference={coarser}", out)
    longer = [{**line, "prompt_tokens": line["prompt_tokens"] + 1} for line in lines]
    changed = record("longer", good, longer)
    assert "the run recorded" in _refused(capsys, changed, file, f"reference={small}", out)


def test_perplexity_is_that_of_llama_cpps_own_method(
    tmp_path: Path,
    small: Path,
    coarser: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (logs := tmp_path / "logs").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(logs))
    text = tmp_path / "text.txt"
    text.write_text("Net sales rose 4.2% to $1,234 million, driven by price. " * 12, encoding="utf-8")
    assert main(["perplexity", str(small), f"text={text}", "context=64", "chunks=3", "threads=1"]) == 0
    found = float(capsys.readouterr().out.split(".gguf")[1].split()[0])
    words = [f"text={text}", "context=64", "chunks=3", "threads=1", "json=true"]
    assert main(["perplexity", str(small), *words]) == 0
    [same] = json.loads(capsys.readouterr().out)
    assert (f"{same['value']:.4f}", same["tokens"], same["chunks"]) == (f"{found:.4f}", 93, 3)
    model = _Slow(small)
    tokens = model.tokens(text.read_text(encoding="utf-8"), False)
    other = _Slow(coarser)
    losses, full = [], []
    for start in (0, 64, 128):
        chunk = tokens[start : start + 64]
        p, q = model.probabilities(chunk), other.probabilities(chunk)
        losses += [-np.log(p[place, chunk[place + 1]]) for place in range(32, 63)]
        full += [(p[place] * np.log(p[place] / q[place])).sum() for place in range(32, 63)]
    assert found == pytest.approx(np.exp(np.mean(losses)), rel=1e-3)
    assert main(["perplexity", str(coarser), f"reference={small}", *words]) == 0
    [against] = [each["against"] for each in json.loads(capsys.readouterr().out)]
    assert 0.8 * np.mean(full) < against["kl"] < 1.001 * np.mean(full), "a lower bound, and a close one"
    assert against["agreement"] < 1
    against = [f"reference={small}", *words]
    assert main(["perplexity", str(small), *against]) == 0
    [itself] = json.loads(capsys.readouterr().out)
    assert itself["value"] == same["value"]
    assert itself["against"] == {"kl": 0.0, "error": 0.0, "agreement": 1.0}
    short = tmp_path / "short.txt"
    short.write_text("few words")
    assert main(["perplexity", str(small), f"text={short}"]) == 2
    assert "two chunks of 512" in capsys.readouterr().err
    assert not [*logs.glob("evalkit-perplexity-*")]


def test_options_by_log_likelihood_are_those_of_a_slow_formula(
    tmp_path: Path, reference_run: Path, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["loglikelihood", str(reference_run), str(small), f"out={out}", "limit=1", "threads=1"]
    assert main(arguments) == 0
    first = (_only(out) / "loglikelihood.json").read_text(encoding="utf-8")
    found = json.loads(first)["files"][0]["benchmarks"]["tfns"]
    model, gold, right = _Slow(small), [], []
    items = {item.id: item for item in read_run(reference_run).items}
    asked = sorted(items.values(), key=lambda item: rank(0, f"{item.id}\0{item.turn}"))[:1]
    for item in asked:
        messages = [{"role": role, "content": content} for role, content in item.samples[0].messages]
        prompt, scores = model.tokens(_chat(messages), True), {}
        for option in item.choices:
            answer = model.tokens(f"\\boxed{{{option}}}", False)
            p = model.probabilities(prompt + answer[:-1])[len(prompt) - 1 :]
            scores[option] = np.log(p[np.arange(len(answer)), answer]).sum()
        weights = {option: np.exp(score - max(scores.values())) for option, score in scores.items()}
        gold.append(weights[item.gold] / sum(weights.values()))
        right.append(max(scores, key=scores.__getitem__) == item.gold)
    assert found["gold"]["value"] == pytest.approx(np.mean(gold), abs=1e-3)
    assert found["accuracy"]["value"] == np.mean(right)
    assert sum(each["n"] for each in found["bins"]) == 1
    # All of it is there: the same command computes nothing, and says the same.
    assert main(arguments) == 0
    assert (_only(out) / "loglikelihood.json").read_text(encoding="utf-8") == first
    capsys.readouterr()
    assert main([*arguments, "json=true"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(first)
    assert main([*arguments, "benchmark=[finqa]"]) == 2
    assert "has no benchmark 'finqa'" in capsys.readouterr().err


def test_flips_of_a_generated_run_are_held_against_what_was_foretold(
    tmp_path: Path, reference_run: Path, small: Path, coarser: Path
) -> None:
    """Two records with answers that the test writes: the first is the reference, in the second one flips."""
    head, *rows = gzip.decompress(to_bytes(read_run(reference_run))).splitlines()

    def record(name: str, labels: list[str], weights: str) -> str:
        lines = [{**(found := json.loads(head)), "engine": {**found["engine"], "weights_sha256": weights}}]
        for row, label in zip(map(json.loads, rows), labels, strict=True):
            text, right = f"It is \\boxed{{{label}}}", label == row["gold"]
            verdict = {
                "correct": right,
                "score": float(right),
                "failure": "correct" if right else "wrong_choice",
                "extracted": label,
                "span": [13, 13 + len(label)],
            }
            answer = {"text": text, "finish_reason": "stop", "completion_tokens": None}
            lines.append({**row, **answer, "verdicts": {"financial": verdict}})
        path = tmp_path / f"{name}.jsonl.gz"
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode() + b"\n"))
        return str(path)

    golds = [json.loads(row)["gold"] for row in rows]
    other = next(label for label in ("bullish", "bearish") if label != golds[0])
    reference = record("reference", golds, json.loads(head)["engine"]["weights_sha256"])
    candidate = record("candidate", [other, *golds[1:]], sha256_of(coarser))
    arguments = [f"reference={small}", f"runs=[{candidate}]", f"out={tmp_path / 'out'}", "threads=1"]
    assert main(["fidelity", reference, str(coarser), *arguments]) == 0
    folder = _only(tmp_path / "out")
    (file,) = json.loads((folder / "fidelity.json").read_text(encoding="utf-8"))["files"]
    forecast, part = file["forecasts"]["tfns"], file["benchmarks"]["tfns"]
    assert (forecast["n"], forecast["flipped"]) == (3, 1)
    chances = [answer["final_flip"] for answer in part["answers"]]
    assert all(0 <= chance <= 1 for chance in chances)
    assert max(chances) > 0
    assert forecast["predicted"] == pytest.approx(sum(chances))
    assert sum(each["n"] for each in forecast["bins"]) == 3
    assert {"boxed", "options", "end", "other"} <= part["by_class"].keys()
    assert "Flips of the generated runs" in (folder / "fidelity.md").read_text(encoding="utf-8")


def test_without_the_extra(
    reference_run: Path,
    small: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "llama_cpp" else find(name, *more)
    )
    assert "pip install -e '.[quantize,gguf]'" in _refused(capsys, str(reference_run), str(small))


def test_yes_no_questions_are_scored_apart(tmp_path: Path, reference_run: Path, small: Path) -> None:
    head, *rows = map(json.loads, gzip.decompress(to_bytes(read_run(reference_run))).splitlines())
    asked = [{**row, "gold_kind": "yes_no", "gold": "yes", "choices": {}} for row in rows[:1]]
    record = tmp_path / "asked.jsonl.gz"
    record.write_bytes(gzip.compress("\n".join(map(json.dumps, [head, *asked])).encode() + b"\n"))
    out = tmp_path / "out"
    words = [str(record), str(small), f"reference={small}", f"out={out}", "threads=1"]
    assert main(["loglikelihood", *words]) == 0
    found = json.loads((_only(out) / "loglikelihood.json").read_text(encoding="utf-8"))
    (benchmarks,) = [file["benchmarks"] for file in found["files"]]
    assert list(benchmarks) == ["tfns, yes/no"]
    (bin_,) = benchmarks["tfns, yes/no"]["bins"]
    assert 0.5 <= bin_["confidence"] <= 1, "of two options"

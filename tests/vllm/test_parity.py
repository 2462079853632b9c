"""Comparing a server's rendering of chats with the tokenizer's own."""

from __future__ import annotations

import json
from pathlib import Path

from evalkit.engines.parity import Parity, difference, template_parity, tokenizer_folder
from evalkit.schema import Message
from tests.settings import model_settings
from tests.vllm.conftest import config, real_vllm

BOS = 1
WORDS = ("<s>", "<user>", "hello", "<assistant>", "<think>", "\n", "<system>", "be helpful", "bye")
PIECES = dict(enumerate(WORDS, start=1))
CHAT = [1, 2, 3, 4]


def said(server: list[int], reference: list[int]) -> str | None:
    return difference(server, reference, PIECES, BOS)


def test_the_same_is_nothing_to_say() -> None:
    assert said(CHAT, CHAT) is None


def test_a_double_bos() -> None:
    assert said([1, *CHAT], CHAT) == "the server begins with 2 BOS, the tokenizer with 1"
    assert said(CHAT[1:], CHAT) == "the server begins with 0 BOS, the tokenizer with 1"


def test_a_missing_think_tag() -> None:
    assert said(CHAT, [*CHAT, 5, 6]) == "only the tokenizer puts <think> into the prompt"
    assert said([*CHAT, 5, 6], CHAT) == "only the server puts <think> into the prompt"


def test_a_tag_of_several_tokens() -> None:
    pieces = {**PIECES, 20: "<th", 21: "ink>"}
    words = difference(CHAT, [*CHAT, 20, 21], pieces, BOS)
    assert words == "only the tokenizer puts <think> into the prompt"


def test_a_default_system_prompt() -> None:
    words = said([1, 7, 8, 2, 3, 4], CHAT)
    assert words == "only the server adds a system prompt: '<system>be helpful'"


def test_anything_else_is_quoted() -> None:
    assert said([1, 2, 9, 4], CHAT) == "from token 2 on, the server has 'bye', the tokenizer 'hello'"
    assert said([1, 2, 4], CHAT) == "from token 2 on, the server has nothing, the tokenizer 'hello'"
    assert "<99>" in str(said([1, 2, 99, 4], CHAT)), "a token that the tokenizer does not know"


def test_a_long_difference_is_cut() -> None:
    assert len(str(said([1, 2, *[9] * 1000, 4], CHAT))) < 200


def test_one_line_for_the_user() -> None:
    assert Parity("transformers 5", 3, 0, ()).line is None
    line = Parity("transformers 5", 3, 2, ("a", "b")).line
    assert line == ("chat template: 2 of 3 prompts differ from the tokenizer's own (transformers 5): a; b")


def test_where_the_tokenizer_is_looked_for(checkpoint: Path, tmp_path: Path) -> None:
    assert tokenizer_folder(model_settings(path=str(checkpoint))) == checkpoint
    assert tokenizer_folder(model_settings(path="file.gguf", tokenizer=str(checkpoint))) == checkpoint
    assert tokenizer_folder(model_settings(path="file.gguf")) is None
    assert tokenizer_folder(model_settings(path="file.gguf", tokenizer=str(tmp_path / "not here"))) is None
    assert tokenizer_folder(model_settings(source={"hf": "nobody/nothing", "file": None})) is None
    assert tokenizer_folder(model_settings(source={"hf": "nobody/nothing", "file": "x.gguf"})) is None


def test_nothing_to_compare_with_is_no_failure(checkpoint: Path, executable: Path) -> None:
    backend = config(checkpoint, executable).backend
    prompts = [(Message("user", "hello"),)]
    assert template_parity(model_settings(path="file.gguf"), backend, prompts, [CHAT]) is None
    broken = executable.with_name("python")
    broken.write_text("#!/bin/sh\necho no transformers here\n")
    broken.chmod(0o755)
    assert template_parity(model_settings(path=str(checkpoint)), backend, prompts, [CHAT]) is None


def test_the_engines_own_python_is_asked(checkpoint: Path, executable: Path) -> None:
    """A Python that has transformers, as far as its answer goes; it gets the script that asks it."""
    answer = executable.with_name("answer.json")
    answer.write_text(json.dumps({"version": "5.0", "tokens": [CHAT], "bos": BOS, "pieces": PIECES}))
    python = executable.with_name("python")
    python.write_text(f'#!/bin/sh\n[ -f "$2" ] && cat "{answer}"\n')
    python.chmod(0o755)
    backend = config(checkpoint, executable).backend
    prompts = [(Message("user", "hello"),)]
    found = template_parity(model_settings(path=str(checkpoint)), backend, prompts, [[BOS, *CHAT]])
    assert found is not None
    assert found.findings == ("the server begins with 2 BOS, the tokenizer with 1",)


def test_with_a_real_tokenizer(small_checkpoint: Path) -> None:
    backend = config(small_checkpoint, real_vllm()).backend
    prompts = [(Message("user", "hello"),), (Message("system", "x"), Message("user", "hello"))]
    found = template_parity(model_settings(path=str(small_checkpoint)), backend, prompts, [[1, 1, 9], [1, 9]])
    assert found is not None
    assert (found.compared, found.different) == (2, 2)
    assert found.findings[0] == "the server begins with 2 BOS, the tokenizer with 1"

"""What fits a machine, before any download: a config predicts what the file's own header says."""

from __future__ import annotations

import re

import pytest

from evalkit.__main__ import main
from evalkit.config.settings import run_settings
from evalkit.weights.fetch import resolve_weights
from evalkit.weights.gguf import read_model
from evalkit.weights.memory import largest_context, predicted_memory, stated_memory

MIB = 1 << 20


@pytest.mark.parametrize(
    ("name", "context", "slots", "measured"),
    [  # the peaks of real servers on files of this geometry, as README's table has them
        ("fin-r1-iq3_xs", 4096, 1, 3881), ("fin-r1-iq3_xs", 8192, 4, 5808), ("fin-r1-q6_k", 4096, 4, 7581),
        ("fin-r1-q8_0", 8192, 1, 8980), ("fin-r1-q8_0", 8192, 4, 10331),
    ],
)  # fmt: skip
def test_a_config_predicts_what_was_measured(name: str, context: int, slots: int, measured: int) -> None:
    model = run_settings([f"+model={name}", "data=sample"]).model
    stated = stated_memory(model, context=context, slots=slots)
    assert stated is not None
    assert stated.total == pytest.approx(measured * MIB, rel=0.01)


@pytest.mark.parametrize(("context", "slots"), [(1024, 1), (8192, 4)])
def test_config_and_header_agree(context: int, slots: int) -> None:
    model = run_settings(["+model=smollm2-135m", "data=sample"]).model
    header = read_model(resolve_weights(model).path)
    by_header = predicted_memory(header, context=context, slots=slots, flash_attention=False)
    by_config = stated_memory(model, context=context, slots=slots)
    assert by_config is not None
    assert (by_config.kv, by_config.compute) == (by_header.kv, by_header.compute)
    assert by_config.total == pytest.approx(by_header.total, rel=0.02)


def test_the_largest_context_is_the_last_that_fits() -> None:
    def total(tokens: int) -> int:
        return 1_000 + tokens

    assert largest_context(total, 1_000 + 512, 8192) == 512
    assert largest_context(total, 1_000 + 511, 8192) == 256
    assert largest_context(total, 1_000, 8192) == 0
    assert largest_context(total, 10**9, 8192) == 8192


def test_every_file_of_the_card_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "6GiB"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert len([name for name in lines if name.startswith("fin-r1-")]) == 13
    assert "fits, up to 9,216 tokens" in lines["fin-r1-iq3_xs"]
    assert lines["fin-r1-q4_0"].endswith("too large; 5,632 tokens a slot fit")
    assert lines["fin-r1-q8_0"].endswith("does not fit")
    assert max(map(len, lines.values())) <= 110


def test_own_files_and_wrong_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    file = str(resolve_weights(run_settings(["+model=smollm2-135m", "data=sample"]).model).path)
    assert main(["fit", "300MiB", file, "context=4096", "slots=1"]) == 1
    assert re.search(r"SmolLM2\S* +98 MB +needs 358\.\d+ MiB  too large; 2,816", capsys.readouterr().out)
    assert main(["fit", "6"]) == 2
    assert capsys.readouterr().err == "evalkit: fit: 6 what? evalkit fit 6GiB\n"
    assert main(["fit", "much"]) == 2
    assert main(["fit", "6GiB", "7GiB"]) == 2

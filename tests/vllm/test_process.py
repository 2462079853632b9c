"""The line of a log that says why vLLM ended. The logs are vLLM 0.32's own, shortened."""

from __future__ import annotations

from evalkit.engines.vllm import telling_line

NO_MEMORY = """\
(EngineCore pid=13782) INFO 11-24 01:41:31 [core.py:133] Initializing a V1 LLM engine
(EngineCore pid=13782) ERROR 11-24 01:41:32 [core.py:1510] EngineCore failed to start.
(EngineCore pid=13782) ERROR 11-24 01:41:32 [core.py:1510] Traceback (most recent call last):
(EngineCore pid=13782) ERROR 11-24 01:41:32 [core.py:1510]   File "core.py", line 1482, in run
(EngineCore pid=13782) ERROR 11-24 01:41:32 [core.py:1510]     raise ValueError(
(EngineCore pid=13782) ERROR 11-24 01:41:32 [core.py:1510] ValueError: No available memory for the cache
(APIServer pid=13520) Traceback (most recent call last):
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""

REFUSED = """\
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, User-specified max_model_len (20480) is greater than the derived max_model_len (8192).
    For further information visit https://errors.pydantic.dev/2.14/v/value_error
"""

UNKNOWN_OPTION = """\
usage: vllm serve [-h] [--log-error-stack | --no-log-error-stack]
                  [model_tag]
vllm: error: unrecognized arguments: --nonsense
"""


def test_the_inner_exception_and_not_its_consequences() -> None:
    assert telling_line(NO_MEMORY.splitlines()).startswith("ValueError: No available memory for the cache")


def test_a_refused_setting() -> None:
    assert telling_line(REFUSED.splitlines()).startswith("Value error, User-specified max_model_len (20480)")


def test_an_unknown_option() -> None:
    assert telling_line(UNKNOWN_OPTION.splitlines()) == "vllm: error: unrecognized arguments: --nonsense"


def test_without_an_exception() -> None:
    assert telling_line(["starting", "an error came", "good bye"]) == "an error came"
    assert telling_line(["starting", "Killed", ""]) == "Killed"
    assert telling_line([]) == "it said nothing"


def test_a_line_is_short() -> None:
    assert len(telling_line(["ValueError: " + "x" * 10**6])) == 300

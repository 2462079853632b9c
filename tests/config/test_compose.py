"""Every config composes, and a slip of the pen gets a helpful line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evalkit.config.overrides import compose, names, normalized, to_dict
from evalkit.config.settings import run_settings
from evalkit.files import CONFIGS
from evalkit.run.runner import check
from evalkit.schema import UserError

MODEL = "+model=fin-r1-q4_k"


@pytest.mark.parametrize("model", names("model"))
def test_every_model_composes_with_a_backend(model: str) -> None:
    settings = run_settings([f"+model={model}", "data=sample", "model.path=FILE"])
    assert settings.model.name == ("FILE" if model == "gguf" else model)
    assert settings.backend.kind in names("backend")
    if not settings.model.published_only:
        check(settings)


@pytest.mark.parametrize("protocol", names("protocol"))
def test_every_protocol_composes(protocol: str) -> None:
    settings = run_settings(["+model=fin-r1-q4_k", "data=sample", f"protocol={protocol}"])
    check(settings)
    assert settings.protocol.name == protocol


@pytest.mark.parametrize("benchmark", names("benchmark"))
def test_every_benchmark_composes_alone(benchmark: str) -> None:
    settings = run_settings(["+model=fin-r1-q4_k", f"benchmark={benchmark}", "data=sample"])
    assert list(settings.benchmark) == [benchmark]


@pytest.mark.parametrize("backend", names("backend"))
def test_every_backend_composes(backend: str) -> None:
    settings = run_settings(["+model=gguf", "model.path=F", f"backend={backend}", "data=sample"])
    assert settings.backend.kind == backend


def test_the_protocols_say_what_the_paper_and_the_card_say() -> None:
    def of(name: str) -> dict[str, object]:
        protocol: dict[str, object] = to_dict(compose([f"protocol={name}", "data=sample"]))["protocol"]
        return protocol

    assert of("greedy")["temperature"] == 0
    paper, card = of("fin-r1-paper"), of("fin-r1-card")
    assert (paper["temperature"], paper["top_p"], paper["max_tokens"]) == (0.6, 0.95, 4096)
    assert (card["temperature"], card["top_p"], card["max_tokens"]) == (0.7, 0.8, 4000)
    assert card["repetition_penalty"] == 1.05
    assert "<think>\n...\n</think>\n<answer>\n...\n</answer>" in str(card["system"])


def test_the_plus_before_model_may_be_left_out() -> None:
    assert compose(["model=fin-r1-q4_k", "data=sample"]) == compose(["+model=fin-r1-q4_k", "data=sample"])


def test_a_models_own_cap_holds_under_every_protocol() -> None:
    settings = run_settings(["+model=smollm2-135m", "data=sample"])
    assert settings.max_tokens == settings.generation.max_tokens == 256
    assert run_settings(["+model=fin-r1-q4_k", "data=sample"]).max_tokens == 4096


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("+model=fin-r1-q4k", "Did you mean fin-r1-q4_k?"),
        ("benchmark=convfinqaa", "Did you mean convfinqa?"),
        ("protocol=gredy", "Did you mean greedy?"),
        ("limt=3", "Did you mean limit?"),
        ("protocol.max_token=3", "Did you mean protocol.max_tokens?"),
        ("benchmark.convfinqa.histry=own", "Did you mean benchmark.convfinqa.history?"),
        ("nosuchkey=3", "no such setting: 'nosuchkey'"),
        ("limit", "cannot read 'limit': settings are KEY=VALUE"),
        ("limit=[", "cannot read 'limit=['"),
    ],
)
def test_slips_are_named_with_what_was_meant(override: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        compose(["data=sample", override])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "names_it"),
    [
        ("limit=-1", "limit=-1"),
        ("limit=0", "limit=0"),
        ("limit=2.5", "limit=2.5"),
        ("limit=many", "limit=many"),
        ("seed=-3", "seed=-3"),
        ("sampling=grup", "Did you mean group?"),
        ("protocol.temperature=-0.1", "protocol.temperature"),
        ("protocol.temperature=warm", "protocol.temperature"),
        ("protocol.top_p=1.5", "protocol.top_p"),
        ("protocol.max_tokens=0", "protocol.max_tokens"),
        ("protocol.samples=4", "temperature 0"),
        ("backend.slots=0", "backend.slots"),
        ("backend.context=-1", "backend.context"),
        ("backend.flash_attention=maybe", "backend.flash_attention"),
        ("benchmark=[]", "no benchmark"),
    ],
)
def test_values_that_cannot_be_meant(override: str, names_it: str) -> None:
    with pytest.raises(UserError) as caught:
        run_settings(["+model=fin-r1-q4_k", "data=sample", override])
    assert names_it in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_must_be_given() -> None:
    with pytest.raises(UserError, match="no model given"):
        run_settings(["data=sample"])


PATHS = [
    "中文/模型.gguf",
    "a b",
    "it's",
    "(x)",
    "x=y",
    "x#y",
    "a,b",
    "🎉",
    "back\\slash\\",
    "\\'",
    'q"q',
    "a: b",
    "~",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_any_text_without_quotes_of_hydras_own(path: str) -> None:
    given = [f"model.path={path}", f"run_dir={path}", f"model.title={path}"]
    settings = run_settings(["+model=gguf", "data=sample", *given])
    assert (settings.model.path, settings.run_dir, settings.model.title) == (path, path, path)


def test_quotes_of_hydras_own_still_count() -> None:
    given = ["model.path='a, b'", 'run_dir="c d"', "model.chat_template=null"]
    settings = run_settings(["+model=gguf", "data=sample", *given])
    assert (settings.model.path, settings.run_dir, settings.model.chat_template) == ("a, b", "c d", None)


def test_a_comma_sweeps_in_a_multirun_only() -> None:
    assert normalized(["model.path=a,b", "model=c,d"]) == ["model.path=a,b", "+model=c,d"]
    assert normalized(["model.path=a,b"], sweeping=False) == ["model.path='a,b'"]


@pytest.mark.parametrize(
    "override",
    ["benchmark=finqa,tfns", "benchmark=finqa, tfns", "benchmark=finqa tfns", "benchmark=[finqa,tfns]"],
)
def test_a_comma_makes_a_list_where_a_list_is_meant(override: str) -> None:
    assert list(run_settings([MODEL, "data=sample", override]).benchmark) == ["finqa", "tfns"]


def test_lists_of_texts_are_quoted_for_hydra() -> None:
    assert normalized(["backend.urls=http://a/v1, http://b/v1"]) == [
        "backend.urls=['http://a/v1','http://b/v1']"
    ]
    assert normalized(["sweep.noise=none", "sweep.recipes=q8_0"]) == [
        "sweep.noise=[]",
        "sweep.recipes=[q8_0]",
    ]
    assert normalized(["benchmark=a,b"], lists=False) == ["benchmark=a,b"]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("limit=1,2", "limit=1,2: it takes one value; `evalkit run -m` makes one run for each"),
        ("~benchmark", "a run needs benchmark"),
        ("protocol.max_tokens=(", "quotes of its own"),
        ("backend.context_size=3", "backend.context"),
        ("backend.start_timeout=0", "must be a number above 0"),
        ("benchmark.tfns.files=/etc/passwd", "below data.dir"),
        ("benchmark.tfns.files=../x", "below data.dir"),
        ("model.name=..", "must be a name"),
        ("model.name=.", "must be a name"),
    ],
)
def test_hydras_complaints_say_what_to_do(override: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        run_settings(["+model=gguf", "model.path=x", "data=sample", override])
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_composed_config_is_its_callers_own() -> None:
    first = compose([MODEL, "data=sample"])
    first.protocol.max_tokens = 3
    assert compose([MODEL, "data=sample"]).protocol.max_tokens != 3


def test_configs_from_outside_are_read_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder := tmp_path / "configs/protocol").mkdir(parents=True)
    monkeypatch.setenv("EVALKIT_PATH", str(tmp_path))
    written = (CONFIGS / "protocol/greedy.yaml").read_text(encoding="utf-8")
    for tokens in (5, 6):
        (folder / "short.yaml").write_text(re.sub(r"(?m)^max_tokens:.*", f"max_tokens: {tokens}", written))
        assert compose([MODEL, "data=sample", "protocol=short"]).protocol.max_tokens == tokens

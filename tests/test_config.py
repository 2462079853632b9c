"""Every config composes, and a slip of the pen gets a helpful line."""

from __future__ import annotations

import pytest

from evalkit.config import compose, names, to_dict
from evalkit.errors import UserError
from evalkit.runner.settings import check, max_tokens, sampling


@pytest.mark.parametrize("model", names("model"))
def test_every_model_composes_with_a_backend(model: str) -> None:
    config = to_dict(compose([f"+model={model}", "data=sample", "model.path=FILE"]))
    assert config["model"]["name"] == model
    assert config["backend"]["kind"] in names("backend")
    if not config["model"]["published_only"]:
        check(config)


@pytest.mark.parametrize("protocol", names("protocol"))
def test_every_protocol_composes(protocol: str) -> None:
    config = to_dict(compose(["+model=fin-r1-q4_k", "data=sample", f"protocol={protocol}"]))
    check(config)
    assert config["protocol"]["name"] == protocol


@pytest.mark.parametrize("benchmark", names("benchmark"))
def test_every_benchmark_composes_alone(benchmark: str) -> None:
    config = to_dict(compose(["+model=fin-r1-q4_k", f"benchmark={benchmark}", "data=sample"]))
    assert list(config["benchmark"]) == [benchmark]


@pytest.mark.parametrize("backend", names("backend"))
def test_every_backend_composes(backend: str) -> None:
    config = to_dict(compose(["+model=gguf", "model.path=F", f"backend={backend}", "data=sample"]))
    assert config["backend"]["kind"] == backend


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
    config = to_dict(compose(["+model=smollm2-135m", "data=sample"]))
    assert max_tokens(config) == sampling(config).max_tokens == 256
    assert max_tokens(to_dict(compose(["+model=fin-r1-q4_k", "data=sample"]))) == 4096


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
        ("limit", "cannot read the override 'limit'"),
        ("limit=[", "cannot read the override 'limit=['"),
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
    config = to_dict(compose(["+model=fin-r1-q4_k", "data=sample", override]))
    with pytest.raises(UserError) as caught:
        check(config)
    assert names_it in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_must_be_given() -> None:
    with pytest.raises(UserError, match="no model given"):
        check(to_dict(compose(["data=sample"])))

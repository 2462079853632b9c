"""What a user may ask of a judge, and the line that a wrong wish gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.commands.judge import main
from evalkit.config.judge import judge_settings
from evalkit.config.overrides import names
from evalkit.config.settings import run_settings
from evalkit.engines.llama_cpp import Settings as LlamaCppSettings
from evalkit.engines.service import Settings as RemoteSettings
from evalkit.run.folder import run_id
from evalkit.schema import UserError

LOCAL = ["judge=local", "judge.model=smollm2-135m"]


def test_a_local_judge_is_any_model_with_its_own_backend() -> None:
    found = judge_settings([*LOCAL, "judge.overrides=['backend.slots=2']", "judge.canaries=7"])
    assert found.model.name == "smollm2-135m"
    assert isinstance(found.backend, LlamaCppSettings)
    assert (found.backend.slots, found.canaries) == (2, 7)


def test_an_endpoint_is_a_remote_backend() -> None:
    found = judge_settings(["+judge=endpoint", "judge.base_url=http://host:1/v1", "judge.name=gpt-x"])
    assert isinstance(found.backend, RemoteSettings)
    assert (found.backend.base_url, found.backend.api_model) == ("http://host:1/v1", "gpt-x")
    assert found.model.name == "gpt-x"


def test_records_do_not_say_where_a_judge_is() -> None:
    found = judge_settings(["+judge=endpoint", "judge.base_url=http://private-host:1/v1"])
    assert "private-host" not in repr(found)
    assert "private-host" not in str(found.as_json())


@pytest.mark.parametrize("name", names("judge"))
def test_a_judge_is_no_part_of_what_makes_a_run(name: str) -> None:
    run = ["+model=smollm2-135m", "data=sample"]
    with_judge = run_settings([*run, f"+judge={name}", *(["judge.model=x"] if name == "local" else [])])
    assert run_id(with_judge) == run_id(run_settings(run))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ([], "no judge given"),
        (["judge=locl"], "Did you mean local?"),
        (["judge=local"], "judge.model is missing"),
        (["judge=local", "judge.model=smollm2"], "Did you mean smollm2-135m?"),
        (
            ["judge=local", "judge.model=replay", "judge.overrides=['model.path=x']"],
            "recorded outputs cannot judge",
        ),
        (["judge=local", "judge.model=fin-r1-sft"], "not released"),
        ([*LOCAL, "judge.when=allways"], "Did you mean always?"),
        ([*LOCAL, "judge.wen=always"], "Did you mean judge.when?"),
        ([*LOCAL, "judge.threshold=2"], "judge.threshold=2"),
        ([*LOCAL, "judge.canaries=0"], "judge.canaries=0"),
        ([*LOCAL, "judge.attempts=many"], "judge.attempts=many"),
        ([*LOCAL, "judge.max_tokens=0"], "judge.max_tokens=0"),
        ([*LOCAL, "judge.force=perhaps"], "judge.force=perhaps"),
        ([*LOCAL, "judge.max_cost=-1"], "judge.max_cost=-1"),
        ([*LOCAL, "judge.max_cost=1"], "needs the judge's prices"),
        ([*LOCAL, "judge.overrides=['backend.slot=2']"], "Did you mean backend.slots?"),
        ([*LOCAL, "judge.overrides=no"], "judge.overrides=no: must be a list: KEY=[A,B]"),
    ],
)
def test_a_wrong_wish_gets_one_line(overrides: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        judge_settings(overrides)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say what to do"),
        (["rum"], "Did you mean run?"),
        (["run", *LOCAL], "give one run folder"),
        (["run", "nowhere", *LOCAL], "not a run folder"),
        (["run", "nowhere"], "no judge given"),
        (["run", "nowhere", "judg=local"], "no such setting"),
    ],
)
def test_the_command_says_what_it_misses(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        main(arguments)
    assert says in str(caught.value)
    assert list(tmp_path.iterdir()) == []

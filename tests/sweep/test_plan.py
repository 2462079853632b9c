"""What the command line of a sweep means, and what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.config import names
from evalkit.errors import UserError
from evalkit.sweep.plan import plan

SMALL = ["data=sample", "benchmark=[tfns]", "limit=4"]


def test_the_eleven_files_of_fin_r1_are_a_sweep() -> None:
    found = plan(["+sweep=fin-r1-quants", *SMALL])
    quants = {name for name in names("model") if name.startswith("fin-r1-")} - {"fin-r1-sft"}
    assert {member.name for member in found.members} == quants
    assert len(found.members) == 11
    assert all(member.config["probe"] and member.config["limit"] == 4 for member in found.members)


def test_any_hydra_list_is_a_sweep() -> None:
    models = plan(["+model=fin-r1-q4_k,fin-r1-q6_k", *SMALL])
    assert [member.name for member in models.members] == ["fin-r1-q4_k", "fin-r1-q6_k"]
    settings = plan(["model=smollm2-135m", "backend.slots=1,4", *SMALL])
    assert [member.name for member in settings.members] == [
        "smollm2-135m backend.slots=1",
        "smollm2-135m backend.slots=4",
    ]
    assert [member.config["backend"]["slots"] for member in settings.members] == [1, 4]


def test_members_can_be_given_by_name() -> None:
    found = plan(["+sweep=custom", "sweep.members=[fin-r1-q4_k,smollm2-135m]", *SMALL])
    assert [member.config["model"]["name"] for member in found.members] == ["fin-r1-q4_k", "smollm2-135m"]


def test_a_ladder_makes_members_of_files_that_do_not_exist_yet() -> None:
    found = plan(["+sweep=smollm2-ladder", "sweep.recipes=[q8_0,q4_0]", *SMALL])
    assert [member.name for member in found.members] == ["smollm2-135m-q8_0", "smollm2-135m-q4_0"]
    model = found.members[1].config["model"]
    assert model["source"]["recipe"]["type"] == "Q4_0"
    assert model["recipe"]["rest"] == "Q4_0"
    assert found.members[0].config["protocol"]["max_tokens"] == 96, "the sweep's own overrides apply"


def test_the_command_line_wins_over_the_sweeps_own_overrides() -> None:
    found = plan(["+sweep=smollm2-ladder", "protocol.max_tokens=16", *SMALL])
    assert {member.config["protocol"]["max_tokens"] for member in found.members} == {16}


def test_the_folder_is_the_same_for_the_same_command_and_differs_for_another() -> None:
    one = plan(["+model=fin-r1-q4_k,fin-r1-q6_k", *SMALL]).folder
    assert one == plan(["+model=fin-r1-q4_k,fin-r1-q6_k", *SMALL]).folder
    assert one.parts[:3] == ("results", "sweeps", "custom")
    assert one != plan(["+model=fin-r1-q4_k,fin-r1-q6_k", *SMALL, "seed=1"]).folder
    assert plan(["+model=fin-r1-q4_k,fin-r1-q6_k", "sweep.dir=here", *SMALL]).folder == Path("here")


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ([], "nothing to sweep over"),
        (["+model=smollm2-135m"], "at least two members"),
        (["+sweep=fin-r1-quant"], "Did you mean fin-r1-quants?"),
        (["+model=fin-r1-q4_k,fin-r1-q9"], "no model named 'fin-r1-q9'"),
        (["+model=fin-r1-q4_k,fin-r1-q6_k", "sweep.reference=fin-r1-q8"], "no member 'fin-r1-q8'"),
        (["+model=fin-r1-q4_k,fin-r1-q6_k", "sweep.margin=0"], "sweep.margin=0"),
        (["+model=fin-r1-q4_k,fin-r1-q6_k", "sweep.margin=big"], "sweep.margin=big"),
        (["+model=fin-r1-q4_k,fin-r1-q6_k", "sweep.noise=[sound]"], "no 'sound'"),
        (["+model=fin-r1-q4_k,fin-r1-q6_k", "sweep.noise=repeat"], "must be a list"),
        (["+model=fin-r1-q4_k,fin-r1-q6_k", "sweep.delete_weights=perhaps"], "true or false"),
        (["+model=fin-r1-q4_k,fin-r1-q6_k", "run_dir=x"], "sweep.dir=PATH"),
        (["+model=fin-r1-q4_k,fin-r1-q4_k"], "2 members of the sweep are called fin-r1-q4_k"),
        (["+model=fin-r1-q4_k", "limit=2,4"], "same questions: limit is 2"),
        (["+model=fin-r1-q4_k", "protocol=greedy,fin-r1-paper"], "same questions: protocol."),
        (["+sweep=custom", "sweep.ladder=fin-r1"], "belong together"),
        (["+sweep=smollm2-ladder", "sweep.recipes=[q4_z]"], "has no 'q4_z'"),
        (["+sweep=smollm2-ladder", "sweep.source=smollm3"], "no model named 'smollm3'"),
        (["+model=fin-r1-q4_k,fin-r1-q6_k", "what=1"], "what"),
    ],
)
def test_a_wrong_sweep_is_refused_in_one_line(overrides: list[str], says: str) -> None:
    with pytest.raises(UserError) as refusal:
        plan(["data=sample", *overrides])
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)

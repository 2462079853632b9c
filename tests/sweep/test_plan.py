"""What the command line of a sweep means, and what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.config.overrides import names
from evalkit.engines.llama_cpp import Settings as LlamaCppSettings
from evalkit.run.folder import path_of
from evalkit.schema import UserError
from evalkit.sweep.plan import plan

SMALL = ["data=sample", "benchmark=[tfns]", "limit=4"]


def test_the_eleven_files_of_fin_r1_are_a_sweep() -> None:
    found = plan(["+sweep=fin-r1-quants", *SMALL])
    others = {"fin-r1-sft", "fin-r1-q4_k_m-bartowski", "fin-r1-q4_k_m-mradermacher"}
    quants = {name for name in names("model") if name.startswith("fin-r1-")} - others
    assert {member.name for member in found.members} == quants
    assert len(found.members) == 11
    assert all(member.settings.probe and member.settings.limit == 4 for member in found.members)


def test_any_hydra_list_is_a_sweep() -> None:
    models = plan(["+model=fin-r1-q4_k,fin-r1-q6_k", *SMALL])
    assert [member.name for member in models.members] == ["fin-r1-q4_k", "fin-r1-q6_k"]
    settings = plan(["model=smollm2-135m", "backend.slots=1,4", *SMALL])
    assert [member.name for member in settings.members] == [
        "smollm2-135m backend.slots=1",
        "smollm2-135m backend.slots=4",
    ]
    backends = [member.settings.backend for member in settings.members]
    assert [each.slots for each in backends if isinstance(each, LlamaCppSettings)] == [1, 4]


def test_members_can_be_given_by_name() -> None:
    found = plan(["+sweep=custom", "sweep.members=[fin-r1-q4_k,smollm2-135m]", *SMALL])
    assert [member.settings.model.name for member in found.members] == ["fin-r1-q4_k", "smollm2-135m"]


def test_a_ladder_makes_members_of_files_that_do_not_exist_yet() -> None:
    found = plan(["+sweep=smollm2-ladder", "sweep.recipes=[q8_0,q4_0]", *SMALL])
    assert [member.name for member in found.members] == ["smollm2-135m-q8_0", "smollm2-135m-q4_0"]
    model = found.members[1].settings.model
    assert model.source
    assert model.source.recipe
    assert model.source.recipe.type == "Q4_0"
    assert model.recipe == {"rest": "Q4_0"}
    assert found.members[0].settings.model.recipe == "Q8_0"
    assert found.members[0].settings.protocol.max_tokens == 96, "the sweep's own overrides apply"


def test_only_i_quants_are_made_with_the_importance_matrix() -> None:
    found = plan(["+sweep=smollm2-ladder", "sweep.recipes=[iq3_m,q4_0]", "sweep.imatrix=seen.gguf", *SMALL])
    sources = [member.settings.model.source for member in found.members]
    assert [source.imatrix for source in sources if source] == ["seen.gguf", None]


def test_a_sweep_measures_speed_unless_it_is_told_not_to() -> None:
    """Files that run beside each other on one board would only measure each other."""
    found = plan(["+sweep=smollm2-ladder", "sweep.recipes=[q8_0,q4_0]", "probe=false", *SMALL])
    assert not any(member.settings.probe for member in found.members)
    files = plan(["A.gguf", "B.gguf", "probe=false", *SMALL])
    assert not any(member.settings.probe for member in files.members)


def test_members_stand_before_a_ladder_of_the_same_sweep() -> None:
    """Qwen's own file is the reference of what is built from it; what tells most comes first."""
    found = plan(["+sweep=qwen2.5-coder-1.5b-ladder", *SMALL])
    official = "qwen2.5-coder-1.5b-instruct-q4_k_m"
    recipes = ["q2_k", "iq3_xs", "q8_0", "q4_0", "q4_k_s", "iq3_m", "q4_k", "q6_k"]
    assert [member.name for member in found.members] == [
        official,
        *(f"{official}-{each}" for each in recipes),
    ]
    assert found.settings.reference == official
    first, second = (member.settings.model for member in found.members[:2])
    assert first.source is not None
    assert first.source.kinds == ["hf"]
    assert second.source is not None
    assert second.source.kinds == ["ladder"]
    assert second.size_bytes is None  # nobody knows yet


def test_engines_that_end_loops_and_others_are_compared() -> None:
    found = plan(["+model=fin-r1-q4_k", "backend=llama_cpp,vllm", *SMALL])
    assert [member.settings.generation.stop_loops for member in found.members] == [True, False]


def test_the_command_line_wins_over_the_sweeps_own_overrides() -> None:
    found = plan(["+sweep=smollm2-ladder", "protocol.max_tokens=16", *SMALL])
    assert {member.settings.protocol.max_tokens for member in found.members} == {16}


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
        (
            ["+model=fin-r1-q4_k,fin-r1-q6_k", "sweep.reference=fin-r1-q8"],
            "reference=fin-r1-q8: no member is",
        ),
        (["+model=fin-r1-q4_k,fin-r1-q6_k", "sweep.margin=0"], "sweep.margin=0"),
        (["+model=fin-r1-q4_k,fin-r1-q6_k", "sweep.margin=big"], "sweep.margin=big"),
        (
            ["+model=fin-r1-q4_k,fin-r1-q6_k", "sweep.noise=[sound]"],
            "sweep.noise=[sound]: each must be repeat or slots",
        ),
        (["+model=fin-r1-q4_k,fin-r1-q6_k", "sweep.noise=1"], "each must be repeat or slots"),
        (["+model=fin-r1-q4_k,fin-r1-q6_k", "sweep.delete_weights=perhaps"], "true or false"),
        (["+model=fin-r1-q4_k,fin-r1-q6_k", "run_dir=x"], "sweep.dir=PATH"),
        (["+model=fin-r1-q4_k,fin-r1-q4_k"], "fin-r1-q4_k and fin-r1-q4_k are the same"),
        (["+model=fin-r1-q4_k", "limit=2,4"], "same questions: limit is 2"),
        (["+model=fin-r1-q4_k", "protocol=greedy,fin-r1-paper"], "same questions: protocol."),
        (["+sweep=custom", "sweep.ladder=fin-r1"], "belong together"),
        (["+model=fin-r1-q4_k", "backend.port=8080,8081"], "backend.port=8081 are the same run: "),
        (
            ["+model=fin-r1-q4_k,fin-r1-q6_k", "sweep.imatrix=x.gguf"],
            "sweep.imatrix is for files that a ladder",
        ),
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


def test_files_of_one_name_in_two_places_get_a_folder_each() -> None:
    made = plan(["data=sample", "+model=gguf", "model.path=a/x.gguf,b/x.gguf"])
    first, second = (path_of(member.settings) for member in made.members)
    assert (first.parent.name, second.parent.name) == ("a-x", "b-x")
    assert [member.title for member in made.members] == ["a-x", "b-x"]


@pytest.mark.parametrize(
    "words",
    [
        ["A.gguf", "d/B.gguf"],
        ["model=A.gguf,d/B.gguf"],
        ["model=A.gguf, d/B.gguf"],
        ["model=gguf", "model.path=A.gguf,d/B.gguf"],
        ["+model=gguf", "+model.path=A.gguf,d/B.gguf"],
        ["+sweep=custom", "sweep.members=[A.gguf,d/B.gguf]"],
        ["sweep=custom", "sweep.members=A.gguf, d/B.gguf"],
        ["custom", "A.gguf", "model=d/B.gguf"],
    ],
)
@pytest.mark.parametrize("data", [["data=sample"], ["data=local", "data.dir=D"]])
def test_files_of_ones_own_are_members_called_by_their_stem(words: list[str], data: list[str]) -> None:
    made = plan([*words, *data, "benchmark=finqa,", "tfns", "reference=d/B.gguf"])
    assert [(member.name, member.title) for member in made.members] == [("A", "A"), ("B", "B")]
    assert [path_of(member.settings).parts[:3] for member in made.members] == [
        ("results", "runs", "A"),
        ("results", "runs", "B"),
    ]
    assert made.settings.reference == "B"
    assert list(made.members[0].settings.benchmark) == ["finqa", "tfns"]


def test_names_files_and_addresses_mix() -> None:
    words = [
        "A.gguf",
        "fin-r1-q4_k",
        "hf:bartowski/R-GGUF/sub/R-Q4_K_M.gguf@v1",
        "https://x.org/Z.gguf?sig=1",
    ]
    made = plan([*words, "data=sample", "reference=Z"])
    assert [member.name for member in made.members] == ["A", "fin-r1-q4_k", "R-Q4_K_M", "Z"]
    hub, other = (member.settings.model.source for member in made.members[2:])
    assert hub is not None
    assert other is not None
    assert (hub.hf, hub.file, hub.revision) == ("bartowski/R-GGUF", "sub/R-Q4_K_M.gguf", "v1")
    assert other.url == "https://x.org/Z.gguf?sig=1"
    assert made.settings.reference == "Z"


def test_a_sweep_by_name_takes_more_files() -> None:
    made = plan(["fin-r1-quants", "mine.gguf"])
    assert len(made.members) == 12
    assert (made.members[-1].name, made.settings.name) == ("mine", "fin-r1-quants")


def test_files_whose_folders_have_one_name_too_are_numbered() -> None:
    made = plan(["d/x.gguf", "e/d/x.gguf", "data=sample", "reference=e/d/x.gguf"])
    assert [member.name for member in made.members] == ["d-x-1", "d-x-2"]
    assert made.settings.reference == "d-x-2"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["A.gguf", "./A.gguf"], "A.gguf and ./A.gguf are the same"),
        (["A.gguf"], "at least two members"),
        (["A.gguf", "B.gguf", "reference=C.gguf"], "Members: A, B"),
        (["d/x.gguf", "e/x.gguf", "reference=x"], "reference=x could be d-x, e-x"),
        (["A.gguf", "B.gguf", "name=C"], "name=NAME is what one model is called"),
        (["fin-r1-quants", "smollm2-ladder"], "one sweep at a time"),
    ],
)
def test_wrong_words_of_a_sweep(words: list[str], says: str) -> None:
    with pytest.raises(UserError) as refusal:
        plan([*words, "data=sample"])
    assert says in str(refusal.value)

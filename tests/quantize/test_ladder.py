from __future__ import annotations

from typing import Any

import pytest

from evalkit.config.overrides import compose, names, to_dict
from evalkit.config.settings import model_runs
from evalkit.schema import UserError
from evalkit.weights.quantize import Recipe, chosen, recipes


def test_the_fin_r1_ladder_is_what_the_model_configs_claim(card: dict[str, Recipe]) -> None:
    claimed = {}
    for name, run in model_runs(name for name in names("model") if name.startswith("fin-r1-")).items():
        model = run.model
        if model.source and model.source.hf == "Mungert/Fin-R1-GGUF":
            assert isinstance(model.recipe, dict)
            claimed[name.removeprefix("fin-r1-")] = model.recipe
    assert claimed.keys() == card.keys()
    assert len(card) == 11
    for name, claim in claimed.items():
        recipe = card[name]
        assert claim["rest"] in (recipe.type, recipe.mix.tensor)
        for key in ("embeddings", "output"):
            assert claim[key] in (None, getattr(recipe, key) or recipe.mix.tensor)


def test_q4_k_is_llama_cpps_alias_of_its_m_mix(card: dict[str, Recipe]) -> None:
    assert (card["q4_k"].type, card["q4_k"].mix_name, card["q4_k"].mix.tensor) == ("Q4_K", "Q4_K_M", "Q4_K")
    assert card["q4_k_s"].mix_name == "Q4_K_S"


def test_a_recipe_can_be_changed_and_added_on_the_command_line() -> None:
    overrides = ["+ladder=fin-r1", "ladder.recipes.q4_0.pure=false", "+ladder.recipes.mine={type: q5_k_m}"]
    known = recipes(to_dict(compose(overrides))["ladder"])
    assert known["q4_0"] == Recipe("q4_0", "Q4_0", None, None, False)
    assert known["mine"] == Recipe("mine", "Q5_K_M", None, None, False)


def test_chosen_keeps_the_order_asked_for(card: dict[str, Recipe]) -> None:
    assert [recipe.name for recipe in chosen(card, ["q8_0", "q4_0", "q8_0"])] == ["q8_0", "q4_0"]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [(["q4k"], "no recipe 'q4k'. Did you mean q4_k?"), ([], "no recipe given. Known: bf16, f16")],
)
def test_unknown_recipes(wanted: list[str], says: str, card: dict[str, Recipe]) -> None:
    with pytest.raises(UserError) as caught:
        chosen(card, wanted)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "has no recipes"),
        (["q4_0"], "has no recipes"),
        ({"a": "Q4_0"}, "recipe a: write {type: Q4_K_M}"),
        ({"a": {"type": "Q4_KM"}}, "no type 'Q4_KM'. Did you mean Q4_K_M?"),
        ({"a": {}}, "no type 'None'"),
        ({"a": {"type": "Q4_0", "embeddings": "Q4_K_M"}}, "no embeddings 'Q4_K_M'. Did you mean Q4_K?"),
        ({"a": {"type": "Q4_0", "ouput": "Q8_0"}}, "no such key 'ouput'. Did you mean output?"),
        ({"a": {"type": "Q4_0", "pure": "very"}}, "pure=very"),
        ({"../a": {"type": "Q4_0"}}, "part of a file name"),
        ({"a\nb": {"type": "Q4_0"}}, "part of a file name"),
    ],
)
def test_bad_ladders(given: Any, says: str) -> None:
    with pytest.raises(UserError) as caught:
        recipes({"name": "mine", "recipes": given})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)

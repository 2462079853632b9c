"""From a word that names a model to the overrides of its run. A service is asked what it calls its model."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.config.overrides import compose, quoted, to_dict
from evalkit.config.settings import QuestionSettings, read_backend
from evalkit.config.words import Words, model_overrides
from evalkit.schema import UserError
from evalkit.text import printable

_KNOWN = tuple(QuestionSettings.model_fields)
_NAMED = ("model.name=", "backend.api_model=", "backend.urls=")


def run_overrides(words: Words) -> list[str]:
    """The overrides of `evalkit run`.

    Raises:
        UserError: no model or several, a word that names none, a service that has several.
    """
    if len(words.models) > 1:
        for word in words.models:
            model_overrides(word, _KNOWN)  # one of them may be no model at all
        both = " and ".join(printable(each) for each in words.models[:2])
        several = " ".join(printable(each) for each in words.models[:5])
        raise UserError(
            f"a run has one model, and {both} are given: compare them with evalkit sweep {several}"
        )
    if not words.models:
        return list(words.settings)
    return [*chosen(words.models[0], words.name, words.settings), *words.settings]


def chosen(word: str, name: str | None, settings: Sequence[str]) -> list[str]:
    """The overrides that choose the model that `word` names.

    Args:
        name: what it is called here, and by its service; None: what the file, or the service, calls it.
        settings: the other overrides.

    Raises:
        UserError: it names no model, or a service that has several.
    """
    overrides = model_overrides(word, _KNOWN)
    if "+model=endpoint" not in overrides or word == "endpoint":
        return overrides if name is None else [*overrides, f"model.name={quoted(_folder_name(name))}"]
    if name is None and any(each.startswith(_NAMED) for each in settings):
        return overrides
    if name is None:
        from evalkit.engines.service import only_model

        backend = [each for each in settings if each.startswith("backend.")]
        name = only_model(read_backend(to_dict(compose(["data=sample", *overrides, *backend]))["backend"]))
    return [
        *overrides,
        f"model.name={quoted(_folder_name(name))}",
        f"model.title={quoted(name)}",
        f"backend.api_model={quoted(name)}",
    ]


def _folder_name(name: str) -> str:
    """A name as a folder may have it: a service says `Qwen/Qwen2.5-7B-Instruct`."""
    return name.replace("/", "-").replace("\\", "-")[:100]

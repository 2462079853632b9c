"""What formats say of a run besides its scores: its data, its model, how answers were sampled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evalkit.exports.common.values import block, count, number, text, texts
from evalkit.records.record import Record

_HUB = re.compile(r"huggingface\.co/datasets/([\w.-]+/[\w.-]+)", re.ASCII)
_GITHUB = re.compile(r"github\.com/[\w.-]+/[\w.-]+", re.ASCII)
_MODEL_REPO = re.compile(r"hf:([\w.-]+)/([\w.-]+)@", re.ASCII)

Deployment = Literal["self_deployed", "externally_managed", "unknown"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A benchmark's data as the run had it.

    `title` says so where the records are the hand-written ones that ship with evalkit: those are not the
    benchmark, so `hub` (a Hugging Face dataset's id) and `url` are None too. `details` are how the items
    were chosen, and hashes of what was read.
    """

    name: str
    title: str
    hub: str | None
    url: str | None
    split: str | None
    revision: str | None
    items: int | None
    details: dict[str, str]


def dataset(record: Record, name: str) -> Dataset:
    """The data of one of the record's benchmarks."""
    benchmark, data = record.head.benchmarks[name], block(record.head.data.get(name))
    bundled = data.get("source") == "sample"
    source = "" if bundled else text(benchmark.get("source")) or ""
    hub, github = _HUB.match(source), _GITHUB.match(source)
    title = text(benchmark.get("title")) or name
    return Dataset(
        name=name,
        title=f"{title} (evalkit's bundled sample)" if bundled else title,
        hub=hub[1] if hub else None,
        url=f"https://{github[0]}" if github else None,
        split=None if bundled else text(benchmark.get("split")),
        revision=text(data.get("revision")),
        items=count(data.get("items")),
        details=_details(record, name),
    )


def _details(record: Record, name: str) -> dict[str, str]:
    benchmark, data = record.head.benchmarks[name], block(record.head.data.get(name))
    files = data.get("files")
    hashes = [
        f"{text(block(file).get('name'))} {text(block(file).get('sha256'))}"
        for file in (files if isinstance(files, list) else [])
    ]
    return texts(
        {
            "source": data.get("source"),
            "limit": record.head.settings.get("limit"),
            "seed": record.head.settings.get("seed"),
            "sampling": record.head.settings.get("sampling"),
            "asked": benchmark.get("covered"),
            "history": benchmark.get("history"),
            "prompt_sha256": block(data.get("prompt")).get("sha256"),
            "sha256": data.get("sha256") or data.get("rows_sha256") or ", ".join(hashes),
        }
    )


@dataclass(frozen=True, slots=True)
class Model:
    """What answered. `owner` is of the Hugging Face repository that the weights came from, None elsewhere.

    `public` says that the weights can be had where `details` says. `details` are the weights' origin, hash,
    size and bits per weight, the model's family and parameters, where known.
    """

    engine: str | None
    build: str | None
    owner: str | None
    deployment: Deployment
    public: bool
    details: dict[str, str]


def model(record: Record) -> Model:
    """The model and engine of a run."""
    engine, head = record.head.engine, record.head.model
    weights = block(engine.get("weights"))
    origin = text(weights.get("origin")) or ""
    public = bool(origin) and "path:" not in origin
    repo = _MODEL_REPO.match(origin)
    details = {
        "title": head["title"],
        "family": head.get("family"),
        "parameters": head.get("parameters"),
        "licence": head.get("licence"),
        "weights_sha256": engine.get("weights_sha256"),
        "weights_origin": origin if public else None,
        "size_bytes": weights.get("size_bytes"),
        "bits_per_weight": block(weights.get("gguf")).get("bits_per_weight"),
        "requantized_from": weights.get("requantized_from"),
    }
    return Model(
        engine=text(engine.get("engine")),
        build=text(engine.get("build")),
        owner=repo[1] if repo else None,
        deployment=_deployment(engine),
        public=public,
        details=texts(details),
    )


def _deployment(engine: Mapping[str, Any]) -> Deployment:
    if engine.get("engine") == "replay":
        return "unknown"
    return "self_deployed" if engine.get("weights_sha256") else "externally_managed"


def generation(record: Record) -> dict[str, float]:
    """The numbers that shaped the answers: temperature, top_p, top_k, min_p, max_tokens, ..."""
    return {key: value for key, each in record.head.sampling.items() if (value := number(each)) is not None}

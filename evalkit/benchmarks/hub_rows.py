"""Rows of a data set on the Hugging Face hub, through the `datasets` package and its cache."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.benchmarks.records import Record
from evalkit.errors import UserError

_BATCH = 1000


def load_rows(hub: Mapping[str, Any], split: str) -> tuple[Iterator[Record], dict[str, Any]]:
    """The rows of a split of ``hub.repo`` at ``hub.revision``, and where they are from.

    ``hub.options`` go to the reader of the file format. HF_HUB_OFFLINE, HF_ENDPOINT, HF_HOME and HF_TOKEN
    mean what they always mean. The facts gain ``rows_sha256`` when the last row was read: `datasets` keeps
    no hash of the files. Raises UserError where the set cannot be loaded or the cache holds another revision.
    """
    import datasets  # heavy, and only this source needs it

    repo, wanted = hub["repo"], hub.get("revision")
    # Single files (data_files=) are not asked for: the cache could then not be found again offline.
    try:
        dataset = datasets.load_dataset(repo, revision=wanted, split=split, **dict(hub.get("options") or {}))
    except Exception as error:  # whatever fails in there (network, hub, format), the way out is the same
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
        raise UserError(
            f"{repo}: cannot load from the hub ({reason}); or use data=local data.dir=PATH"
        ) from error
    found = _commit(dataset)
    if wanted and found and _is_commit(wanted) and found != wanted:
        raise UserError(
            f"{repo}: offline, and the cache holds revision {found}, not {wanted}; go online once"
        )
    origin: dict[str, Any] = {"url": f"hf://datasets/{repo}", "revision": found or wanted}
    return _rows(f"{repo} {split}", dataset, origin), origin


def _rows(name: str, dataset: Any, origin: dict[str, Any]) -> Iterator[Record]:  # noqa: ANN401 - no types there
    number, digest = 0, hashlib.sha256()
    for batch in dataset.iter(batch_size=_BATCH):
        for cells in zip(*batch.values(), strict=True):
            number += 1
            digest.update(json.dumps(cells, default=str).encode())
            yield Record(name, "row", number, dict(zip(batch, cells, strict=True)))
    origin["rows_sha256"] = digest.hexdigest()


def _commit(dataset: Any) -> str | None:  # noqa: ANN401 - no types there
    """The commit that was loaded: `datasets` names the cache's innermost folder after it."""
    folders = [Path(entry["filename"]).parent.name for entry in dataset.cache_files]
    return folders[0] if folders and _is_commit(folders[0]) else None


def _is_commit(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{40}", text) is not None

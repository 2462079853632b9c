"""`{hf: repository, file: name, revision: main}`: one file of a Hugging Face repository.

The hub's own cache and settings apply: HF_TOKEN, HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from evalkit.errors import UserError
from evalkit.models.cache import one_line, require_space
from evalkit.models.fetched import Fetched


def fetch(model: Mapping[str, Any]) -> Fetched:
    """Return the file from the hub's cache or download it. Reads `source`.

    Raises:
        UserError: unknown or gated repository, no such file, offline, no room.
    """
    source = model["source"]
    repo, file, revision = str(source["hf"]), source.get("file"), str(source.get("revision") or "main")
    if not file:
        raise UserError(
            f"{repo} is a whole checkpoint, not a GGUF file: use backend=vllm, or give model.path=FILE.gguf."
        )
    from huggingface_hub import constants, hf_hub_download

    try:
        plan = hf_hub_download(repo, str(file), revision=revision, dry_run=True)
        if plan.will_download:
            require_space(plan.file_size, Path(constants.HF_HUB_CACHE), f"{repo}/{file}", "HF_HOME")
        # By the same name and not by the plan's commit: only then does the hub note what the name meant,
        # which an offline start needs.
        path = Path(hf_hub_download(repo, str(file), revision=revision))
    except (http_error(), OSError, ValueError, RuntimeError) as error:
        raise UserError(explain(error, repo, str(file), revision)) from error
    commit = path.parts[-len(Path(str(file)).parts) - 1]  # .../snapshots/<commit>/<file>
    return Fetched(path, f"hf:{repo}@{commit}/{file}")


def http_error() -> type[Exception]:
    """The HTTP library's base error; which library that is depends on the hub's version."""
    from huggingface_hub.errors import HfHubHTTPError

    return cast(type[Exception], HfHubHTTPError.__bases__[0])


def explain(error: Exception, repo: str, file: str, revision: str) -> str:
    from huggingface_hub import constants, errors

    hub = constants.ENDPOINT
    # The hub answers 401 both for a private repository and for one that does not exist.
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None
    if isinstance(error, errors.GatedRepoError):
        return f"{repo} is gated: accept its terms at {hub}/{repo}, then set HF_TOKEN."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo} has no revision {revision!r}: correct model.source.revision."
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return f"{repo} at {revision} has no file {file}: see {hub}/{repo}/tree/{revision}"
    if isinstance(error, errors.RepositoryNotFoundError) or status == 401:
        return f"{hub} has no repository {repo}, or it is private: check the name, or set HF_TOKEN."
    if isinstance(error.__cause__, errors.FileMetadataError):
        return f"{hub} does not answer like a Hugging Face hub: check HF_ENDPOINT and the proxy settings."
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        if constants.HF_HUB_OFFLINE:
            return (
                f"{repo}/{file} is not cached and HF_HUB_OFFLINE is set: unset it, or give model.path=FILE."
            )
        return f"Cannot reach {hub} for {repo}/{file}: check the network, or give model.path=FILE."
    return f"Cannot download {repo}/{file} from {hub}: {one_line(error)}"

"""A model's own tokenizer, as `transformers` reads it: in a child, with whichever Python has the package."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.children import tokenizer
from evalkit.engines.client import as_json
from evalkit.schema import Message
from evalkit.spawn import child_environment

_SCRIPT = Path(tokenizer.__file__)
_SECONDS = 300  # for importing transformers on a busy machine


def ask_tokenizer(
    python: Path,
    folder: Path,
    chats: Sequence[Sequence[Message]] = (),
    *,
    texts: Sequence[str] = (),
    shown: Sequence[int] = (),
    template: str | None = None,
) -> Mapping[str, Any] | None:
    """What `evalkit.children.tokenizer` says of chats and texts; None if it cannot read the tokenizer.

    Blocks for seconds.

    Args:
        python: an interpreter that has transformers.
        folder: of the tokenizer's files.
        shown: tokens whose text is wanted beside those of the chats.
        template: a chat template other than the tokenizer's own.
    """
    asked = {
        "folder": str(folder),
        "chats": [as_json(chat) for chat in chats],
        "texts": list(texts),
        "shown": list(shown),
        "template": template,
    }
    # Isolated: neither our folder nor PYTHONPATH may stand in for that environment's packages.
    script = [str(python), "-I", str(_SCRIPT)]
    try:
        done = subprocess.run(
            script,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
            env=child_environment({"HF_HUB_OFFLINE": "1"}),
        )
        found = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    return found if isinstance(found, dict) else None

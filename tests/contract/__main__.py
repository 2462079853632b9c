"""Write the expected outputs of the contract tests again."""

from __future__ import annotations

import tempfile
from pathlib import Path

from .commands import COMMANDS_SHOWN, EXPECTED, HELPS, help_text, keys_and_ids


def main() -> None:
    EXPECTED.mkdir(exist_ok=True)
    found = {f"help-{command.replace(' ', '-')}": help_text(command) for command in HELPS}
    for name, show in {"keys": keys_and_ids, **COMMANDS_SHOWN}.items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = show(Path(folder))
    for name, text in found.items():
        (EXPECTED / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

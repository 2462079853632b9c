"""For tests that change the answers of a finished run: as if an older version had written them, unchained."""

from __future__ import annotations

import json
from pathlib import Path


def unchain(run_dir: Path) -> None:
    """Remove the links of a run's answers, and their seal from its run.json if there is one."""
    path, run_json = run_dir / "generations.jsonl", run_dir / "run.json"
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    kept = [{name: value for name, value in line.items() if name not in ("after", "link")} for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    if run_json.exists():
        run = json.loads(run_json.read_text(encoding="utf-8"))
        run.pop("answers", None)
        run_json.write_text(json.dumps(run), encoding="utf-8")

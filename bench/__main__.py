"""The proofs' command line, in a checkout: `python -m bench COMMAND [KEY=VALUE ...]`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from evalkit.schema import UserError, nearest

# Command, its module (with `HELP` and `main`), and what it shows.
COMMANDS = {
    "order": ("order", "what the order of requests saves, and what the harness costs"),
    "engines": ("engines", "llama.cpp and vLLM on the same questions, with evalkit and without"),
    "executors": ("cluster", "what workers on Ray bring, and where a thousand would bend"),
    "memory": ("memory", "predicted memory against the measured peak of a real server"),
    "scoring": (
        "rules",
        "agreement with hand labels, hostile outputs, speed: scoring check|metamorphic|fuzz|speed",
    ),
    "rewards": ("rewards", "reward functions for training: completions per second beside the bare rule"),
    "contamination": ("contamination", "planted evaluation items: how many distill finds"),
    "statistics": ("statistics", "coverage and false verdicts, by simulation: statistics simulate|judge"),
    "sequential": ("sequential", "whether verdicts hold when one looks after every page, and what they take"),
    "control": ("control", "what the reference's other answers and fidelity add to a paired difference"),
    "noise": ("noise", "how often the same question gets another answer, by slots and after a kill"),
    "faults": ("faults", "kills, full disks and failing services at random on real runs, and what must hold"),
    "loops": ("loops", "what ending answers that repeat themselves changes: loops, and no verdict"),
    "fidelity": ("fidelity", "what fidelity costs and what its figures leave out: speed|buckets|intervals"),
    "synthetic": ("synthetic", "write a GGUF file with a model's geometry and random weights"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (2: wrong request)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        lines = (f"  {name:<15}{what}" for name, (_, what) in COMMANDS.items())
        print("usage: python -m bench COMMAND [KEY=VALUE ...]", "", *lines, sep="\n")
        return 0
    try:
        if given[0] not in COMMANDS:
            raise UserError(f"no command '{given[0]}'.{nearest(given[0], COMMANDS)}")
        command = importlib.import_module(f"bench.{COMMANDS[given[0]][0]}")
        if any(argument in ("-h", "--help") for argument in given[1:]):
            print(command.HELP.strip())
            return 0
        code: int = command.main(given[1:])
        return code
    except UserError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

"""The command line: `python -m evalkit COMMAND [hydra overrides]`."""

from __future__ import annotations

import argparse
import importlib
import keyword
import signal
import sys
from collections.abc import Sequence

from evalkit import __version__
from evalkit.errors import UserError, nearest

# Command, and what it does. Each is a module in evalkit.commands with `HELP` and `main`, imported only when
# called: `--help` must feel instant, and hydra, openai and datasets take seconds to import.
COMMANDS = {
    "run": "generate, score, print the table: run +model=NAME",
    "sweep": "a family of files as one unit: curves and verdicts: sweep +sweep=NAME",
    "compare": "two runs, example by example: compare REFERENCE_DIR CANDIDATE_DIR",
    "recommend": "the file to deploy on your memory, from measured sweeps: recommend memory=6GiB",
    "leaderboard": "tables, curves and the site from run records; the same records, the same bytes",
    "keep": "a run's or sweep's record for the leaderboard: keep RUN_DIR...",
    "score": "score a run again, without an engine: score RUN_DIR",
    "import": "logs of other harnesses, to score them here: import FORMAT FILE... OUT.jsonl",
    "judge": "an LLM judge and how wrong it is: judge run|calibrate|pairwise|label RUN_DIR",
    "models": "the models that can be named, and what each needs",
    "benchmarks": "the benchmarks that can be named, and what each is",
    "scoring": "how far the scoring can be trusted, and what it costs: scoring check|fuzz|speed",
    "statistics": "how far intervals and verdicts can be trusted: statistics simulate|judge|required",
    "gguf": "what a GGUF file really contains, and the memory it will take: gguf FILE",
    "quantize": "build a ladder of GGUF files from one: quantize SOURCE.gguf OUT_DIR +ladder=fin-r1",
    "export": "runs for other tools (lm_eval, LaTeX, Hugging Face, ...): export FORMAT RUN... OUT_DIR",
    "audit": "the published table recomputed: averages, intervals, what it does not separate",
    "overlap": "what share of a benchmark a training file contains: overlap benchmark=NAME train=FILE",
    "bench": "measure the harness itself: prompt work, overhead, against unordered requests",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0 done, 1 finished with failures, 2 wrong request, 130)."""
    # Ending a run from outside is as clean as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(
        prog="evalkit",
        description="Which quantized file of a financial reasoning model to deploy, by accuracy and memory.",
        epilog="commands:\n"
        + "\n".join(f"  {name:<12}{what}" for name, what in COMMANDS.items())
        + "\n\n`evalkit COMMAND --help` tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"evalkit {__version__}")
    parser.add_argument("command", metavar="COMMAND", help="see below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the command's own arguments")
    given = parser.parse_args(arguments)
    try:
        return _run(given.command, given.arguments)
    except UserError as error:
        print(f"evalkit: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        print("evalkit: interrupted; the same command goes on where it stopped", file=sys.stderr)  # noqa: T201
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _run(name: str, arguments: list[str]) -> int:
    if name not in COMMANDS:
        raise UserError(f"no command '{name}'.{nearest(name, COMMANDS)} Commands: {', '.join(COMMANDS)}")
    module = f"{name}_" if keyword.iskeyword(name) else name
    command = importlib.import_module(f"evalkit.commands.{module}")
    if any(argument in ("-h", "--help") for argument in arguments):
        # A command with commands of its own has a help for each.
        text = command.help_of(arguments) if hasattr(command, "help_of") else command.HELP
        print(text.strip())  # noqa: T201
        return 0
    code: int = command.main(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())

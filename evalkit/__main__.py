"""The command line: `evalkit COMMAND [FILE|NAME|URL ...] [KEY=VALUE ...]`."""

from __future__ import annotations

import importlib
import importlib.util
import io
import keyword
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from evalkit.schema import UserError, nearest
from evalkit.text import for_terminal, printable
from evalkit.version import __version__

# Command, and what it does. Each is a module in evalkit.commands with `HELP` and `main`, imported only when
# called: `--help` must feel instant, and hydra, openai and datasets take seconds to import.
COMMANDS = {
    "run": "generate, score, print the table: run FILE.gguf",
    "sweep": "several files on the same questions, and verdicts: sweep A.gguf B.gguf",
    "compare": "two runs, example by example: compare REFERENCE_DIR CANDIDATE_DIR",
    "fidelity": "files against a reference, token by token: fidelity REFERENCE_RUN FILE.gguf...",
    "loglikelihood": "the likeliest option, without generating: loglikelihood RUN FILE.gguf...",
    "perplexity": "of a text, by llama.cpp's own method: perplexity FILE.gguf... text=FILE.txt",
    "load": "how long people wait when several ask at once: load FILE.gguf users=1,2,4,8",
    "recommend": "the file to deploy on your memory, from measured sweeps: recommend memory=6GiB",
    "leaderboard": "tables, curves and the site from run records; the same records, the same bytes",
    "keep": "a run's or sweep's record for the leaderboard: keep RUN_DIR...",
    "runs": "the runs of this machine, the newest first",
    "show": "what a run answered and why it was judged so, in the terminal: show RUN [ID]",
    "view": "the answers of runs in the browser: view [RUN...]",
    "verify": "whether a run's answers, data, weights and record are what they were: verify RUN_DIR",
    "score": "score a run again, without an engine: score RUN_DIR",
    "distill": "a teacher's answers, filtered twice, as training sets: distill RUN_DIR out=DIR",
    "import": "logs of other harnesses, to score them here: import FORMAT FILE... OUT.jsonl",
    "judge": "an LLM judge and how wrong it is: judge run|calibrate|pairwise|label RUN_DIR",
    "fit": "which of the known files a machine's memory holds, before any download: fit 16GiB",
    "models": "the models that can be named, and what each needs",
    "benchmarks": "the benchmarks that can be named, and what each is",
    "statistics": "how many items show a difference: statistics required difference=2 discordant=10",
    "gguf": "what a GGUF file really contains, and the memory it will take: gguf FILE",
    "quantize": "build a ladder of GGUF files from one: quantize SOURCE.gguf OUT_DIR ladder=fin-r1",
    "export": "runs for other tools (lm_eval, LaTeX, Hugging Face, ...): export FORMAT RUN... OUT_DIR",
    "audit": "the published table recomputed: averages, intervals, what it does not separate",
    "overlap": "what share of a benchmark a training file contains: overlap benchmark=NAME train=FILE",
    "completion": "completion for your shell: completion bash|zsh|fish",
}
# What one needs first; the rest stands below it.
_FIRST = ("fit", "run", "sweep", "runs", "view", "show", "compare", "recommend", "models", "benchmarks")
# What people try, and what it is called here.
_MEANT = {
    "list": "models, benchmarks",
    "ls": "models, benchmarks",
    "tasks": "benchmarks",
    "open": "view",
    "report": "score",
    "eval": "run",
    "evaluate": "run",
    "bench": "run, load",
    "benchmark": "benchmarks, run",
    "latency": "load",
    "throughput": "load",
    "diff": "compare",
    "info": "gguf",
    "inspect": "gguf",
    "memory": "gguf",
    "pick": "recommend",
    "download": "run",
    "serve": "run",
    "plan": "run",
    "resume": "run",
    "convert": "quantize",
    "install": "completion",
}
_WRONG_PYTHON = "this Python has no evalkit installed: use .venv/bin/evalkit, or first . .venv/bin/activate"
# Of what every installation has, the first to be missed by a Python that only finds our folder.
_NEEDED = ("hydra", "omegaconf", "pydantic", "rich")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0 done, 1 finished with failures, 2 wrong request, 130)."""
    _listen_to_signals()
    _tolerant_output()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(given)
    except UserError as error:
        _complain(str(error))
        return 2
    except ModuleNotFoundError:
        if all(map(importlib.util.find_spec, _NEEDED)):
            raise
        _complain(_WRONG_PYTHON)
        return 2
    except KeyboardInterrupt:
        _complain("interrupted; the same command goes on where it stopped")
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:  # a full disk, a folder that may not be written, an output that is not there
        where = f"{error.filename}: " if error.filename else ""
        said = f"{where}{error.strerror or error}; what was finished is kept, the same command goes on"
        _complain(" ".join(said.split()))
        _give_up_output()
        return 1


def _complain(line: str) -> None:
    """One line on standard error, in a terminal broken between words."""
    print(for_terminal(f"evalkit: {line}", sys.stderr), file=sys.stderr)  # noqa: T201


def _say(text: str) -> None:
    print(for_terminal(text.strip(), sys.stdout))  # noqa: T201


def _give_up_output() -> None:
    """If nothing can be written to standard output, Python need not try again when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _listen_to_signals() -> None:
    """Ending a run from outside is as clean as Ctrl-C: what asyncio does about that, it does here, too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell's background job ignores Ctrl-C, and still does; but asyncio looks for Python's own handler.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _as_interrupt)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(number, frame)


def _tolerant_output() -> None:
    """A terminal that lacks a character shows another, and a closed output swallows what it is told."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def short_help() -> str:
    """What `evalkit` alone prints: how one begins, then every command in a line."""
    others = [name for name in COMMANDS if name not in _FIRST]
    first = [name for name in _FIRST if name in COMMANDS]
    width = max(map(len, COMMANDS)) + 2
    parts = [
        "Which quantized file of a financial model to deploy: accuracy, memory and speed, with error bars.",
        "usage: evalkit COMMAND [FILE|NAME|URL ...] [KEY=VALUE ...]",
        "  evalkit run FILE.gguf benchmark=finqa,tfns limit=50\n  evalkit sweep A.gguf B.gguf limit=50",
        "\n".join(f"  {name:<{width}}{COMMANDS[name]}" for name in first),
        "more:\n" + "\n".join(f"  {name:<{width}}{COMMANDS[name]}" for name in others),
        "`evalkit help COMMAND` tells more; `evalkit --version` says which this is.",
    ]
    return "\n\n".join(parts)


def _run(words: list[str]) -> int:
    name, arguments = (words[0], words[1:]) if words else ("help", [])
    if name == "help" and arguments:
        name, arguments = arguments[0], [*arguments[1:], "--help"]
    if name in ("help", "-h", "--help"):
        _say(short_help())
        return 0
    if name in ("--version", "-V", "version"):
        _say(f"evalkit {__version__}")
        return 0
    if name not in COMMANDS:
        raise UserError(_no_command(name))
    module = f"{name}_" if keyword.iskeyword(name) else name
    command = importlib.import_module(f"evalkit.commands.{module}")
    if any(argument in ("-h", "--help") for argument in arguments):
        # A command with commands of its own has a help for each.
        _say(command.help_of(arguments) if hasattr(command, "help_of") else command.HELP)
        return 0
    code: int = command.main(arguments)
    sys.stdout.flush()  # what goes wrong with it shows here, and not when Python ends
    return code


def _no_command(name: str) -> str:
    """What somebody probably meant who wrote a command that there is not."""
    shown = printable(name)
    if name.lower().endswith(".gguf") or name.startswith(("hf:", "http://", "https://")):
        return f"'{shown}' is no command: evalkit run {shown}"
    if name.startswith("-"):
        return f"there is no option {shown}: `evalkit help` lists the commands"
    if "=" in name:
        return f"'{shown}' is no command: evalkit run FILE.gguf {shown}"
    meant = _MEANT.get(name)
    hint = f" Did you mean {meant.replace(', ', ' or ')}?" if meant else nearest(name, COMMANDS)
    return f"no command '{shown}'.{hint} Commands: {', '.join(COMMANDS)}"


if __name__ == "__main__":
    sys.exit(main())

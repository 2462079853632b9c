"""`evalkit completion`: what a shell needs to complete commands, names, and settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HELP = """
usage: evalkit completion bash|zsh|fish

Print the completion of commands, of names of models, benchmarks and sweeps, and of settings, for a shell:

  bash                     eval "$(evalkit completion bash)"   in ~/.bashrc
  zsh                      eval "$(evalkit completion zsh)"    in ~/.zshrc, after compinit
  fish                     evalkit completion fish > ~/.config/fish/completions/evalkit.fish
"""

_BASH = """
_evalkit() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} key= values= done= IFS=$' \\t\\n'
    if [[ $cur == = ]]; then key=$prev cur=
    elif [[ $prev == = ]]; then key=${COMP_WORDS[COMP_CWORD-2]}; fi
    if [[ $cur == *,* ]]; then done=${cur%,*},; fi
    case ${key#+} in
        model) values="%(models)s" ;;
        benchmark) values="%(benchmarks)s" ;;
        sweep) values="%(sweeps)s" ;;
        protocol) values="%(protocols)s" ;;
        data) values="%(data)s" ;;
        judge) values="%(judges)s" ;;
        ?*) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    esac
    if [[ -n $key ]]; then COMPREPLY=($(compgen -P "$done" -W "$values" -- "${cur##*,}")); return; fi
    if ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W "%(commands)s" -- "$cur")); return; fi
    case ${COMP_WORDS[1]} in
        help) COMPREPLY=($(compgen -W "%(commands)s" -- "$cur")); return ;;
        completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$cur")); return ;;
        run) values="%(models)s %(settings)s" ;;
        sweep) values="%(sweeps)s %(models)s %(settings)s" ;;
        *) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    esac
    COMPREPLY=($(compgen -W "$values" -- "$cur"))
    COMPREPLY+=($(compgen -f -X '!*.gguf' -- "$cur") $(compgen -d -S / -- "$cur"))
    if [[ ${COMPREPLY[0]-} == *[=/] ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -F _evalkit evalkit
"""

_ZSH = """
#compdef evalkit
_evalkit() {
    local -a commands models benchmarks sweeps settings
    commands=(%(commands)s)
    models=(%(models)s)
    benchmarks=(%(benchmarks)s)
    sweeps=(%(sweeps)s)
    settings=(%(settings)s)
    if (( CURRENT == 2 )); then compadd -- $commands; return; fi
    if compset -P '(+|)model='; then compset -P '*,'; compadd -- $models; _files -g '*.gguf'; return; fi
    if compset -P 'benchmark='; then compset -P '*,'; compadd -S '' -- $benchmarks; return; fi
    if compset -P '(+|)sweep='; then compadd -- $sweeps; return; fi
    if compset -P 'protocol='; then compadd -- %(protocols)s; return; fi
    if compset -P 'data='; then compadd -- %(data)s; return; fi
    if compset -P 'judge='; then compadd -- %(judges)s; return; fi
    if compset -P '*='; then _files; return; fi
    case $words[2] in
        help) compadd -- $commands ;;
        completion) compadd -- bash zsh fish ;;
        run) compadd -- $models; compadd -S '' -- $settings; _files -g '*.gguf' ;;
        sweep) compadd -- $sweeps $models; compadd -S '' -- $settings; _files -g '*.gguf' ;;
        *) _files ;;
    esac
}
compdef _evalkit evalkit
"""

_FISH = """
complete -c evalkit -f -n __fish_use_subcommand -a "%(commands)s"
complete -c evalkit -f -n "__fish_seen_subcommand_from help" -a "%(commands)s"
complete -c evalkit -f -n "__fish_seen_subcommand_from completion" -a "bash zsh fish"
complete -c evalkit -n "__fish_seen_subcommand_from run sweep" -a "%(models)s"
complete -c evalkit -n "__fish_seen_subcommand_from sweep" -a "%(sweeps)s"
complete -c evalkit -n "__fish_seen_subcommand_from run sweep" -a "%(settings)s"
complete -c evalkit -n "__fish_seen_subcommand_from run sweep" -a "%(chosen)s"
"""

_SHELLS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
# Settings that most people change; every other is in `evalkit run --help`, or in configs/.
_COMMON = (
    "name",
    "reference",
    "model",
    "sweep",
    "sweep.margin",
    "sweep.dir",
    "sweep.delete_weights",
    "judge",
    "json",
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What can be completed, by kind; `settings` end in an equals sign."""

    commands: Sequence[str]
    models: Sequence[str]
    benchmarks: Sequence[str]
    sweeps: Sequence[str]
    protocols: Sequence[str]
    data: Sequence[str]
    judges: Sequence[str]
    settings: Sequence[str]

    def words(self) -> dict[str, str]:
        """Each kind as words of a shell."""
        kinds = {kind: " ".join(getattr(self, kind)) for kind in self.__slots__}
        chosen = [f"benchmark={name}" for name in self.benchmarks] + [f"protocol={n}" for n in self.protocols]
        return {**kinds, "chosen": " ".join([*chosen, *(f"data={name}" for name in self.data)])}


def main(arguments: Sequence[str]) -> int:
    from evalkit.schema import UserError

    if len(arguments) != 1 or arguments[0] not in _SHELLS:
        raise UserError("completion: name your shell: evalkit completion bash, zsh or fish")
    script = _SHELLS[arguments[0]]
    for kind, words in vocabulary().words().items():
        script = script.replace(f"%({kind})s", words)
    print(script.strip())
    return 0


def vocabulary() -> Vocabulary:
    """What there is, from the configs and from the list of commands."""
    from evalkit.config.overrides import common_settings, names

    return Vocabulary(
        commands=[*_commands(), "help"],
        models=names("model"),
        benchmarks=names("benchmark"),
        sweeps=names("sweep"),
        protocols=names("protocol"),
        data=names("data"),
        judges=names("judge"),
        settings=[f"{key}=" for key in dict.fromkeys([*_COMMON, *common_settings()])],
    )


def _commands() -> list[str]:
    """The names of the commands, as the files beside this one are called."""
    from pathlib import Path

    return sorted(path.stem.rstrip("_") for path in Path(__file__).parent.glob("[!_]*.py"))

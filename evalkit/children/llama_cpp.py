"""The child process that hosts the xllamacpp server.

    python -m evalkit.children.llama_cpp

reads one JSON line of options from standard input, loads the model, prints one JSON line
`{"address", "load_seconds"}` and serves until its standard input closes. Options come through the pipe
and not through the command line, where other users of the machine could read the key.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from evalkit.children.watchdog import die_with_parent, wait_for_end_of_input

# llama.cpp logs every request at 3 (info); the reasons of failures come at 1 and 2.
_WARNINGS = 2


def parameters(options: dict[str, Any]) -> Any:  # noqa: ANN401 - xllamacpp has no types
    """xllamacpp's CommonParams for our options (see `llama_cpp.ServerOptions`)."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options["model"]
    params.n_parallel = options["slots"]
    params.n_ctx = options["context"] * options["slots"]
    params.kv_unified = False  # a fixed share per slot: one long answer cannot starve the others
    params.port = options["port"] or 0
    params.api_keys = [options["key"]]
    params.cpuparams.n_threads = options["threads"]
    params.cpuparams_batch.n_threads = options["threads"]
    params.n_gpu_layers = options["gpu_layers"]
    params.flash_attn_type = {"off": 0, "on": 1, "auto": -1}[options["flash_attention"]]
    # Mapped weights that are then repacked for the CPU would be counted twice: the pages and the copy.
    modes = xllamacpp.llama_load_mode
    params.load_mode = modes.LLAMA_LOAD_MODE_MMAP if options["mmap"] else modes.LLAMA_LOAD_MODE_NONE
    params.no_extra_bufts = not options["repack"]
    params.warmup = options["warmup"]
    params.ui = False
    params.verbosity = _WARNINGS
    params.fit_params = False
    # The server would keep evicted prompts in up to 8 GiB of memory, and peak memory is a result here.
    params.cache_ram_mib = 0
    params.ctx_shift = False
    params.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    if options["chat_template"]:
        params.chat_template = options["chat_template"]
    _deploy(params, options["deployment"])
    return params


def _deploy(params: Any, options: dict[str, Any]) -> None:  # noqa: ANN401
    """What deployments vary (see `llama_options.deployment_options`); what is None stays as it is."""
    import xllamacpp

    for name in ("cache_type_k", "cache_type_v"):
        if options.get(name):
            setattr(params, name, getattr(xllamacpp.ggml_type, f"GGML_TYPE_{options[name].upper()}"))
    if options.get("rope_scaling"):
        kinds = xllamacpp.llama_rope_scaling_type
        params.rope_scaling_type = getattr(
            kinds, f"LLAMA_ROPE_SCALING_TYPE_{options['rope_scaling'].upper()}"
        )
    if options.get("rope_factor"):
        params.rope_freq_scale = 1.0 / options["rope_factor"]
    if options.get("rope_base"):
        params.rope_freq_base = options["rope_base"]
    if options.get("rope_original_context"):
        params.yarn_orig_ctx = options["rope_original_context"]
    if options.get("lora"):
        adapter = xllamacpp.CommonAdapterLoraInfo()
        adapter.path, adapter.scale = options["lora"], options["lora_scale"]
        params.lora_adapters = [adapter]
    if options.get("draft"):
        _draft(params, options)


def _draft(params: Any, options: dict[str, Any]) -> None:  # noqa: ANN401
    """Speculative decoding: the path alone does nothing, llama.cpp wants to be told the kind of draft."""
    import xllamacpp

    params.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
    draft = params.speculative.draft
    draft.mparams.path = options["draft"]
    draft.n_gpu_layers = params.n_gpu_layers
    draft.cpuparams.n_threads = params.cpuparams.n_threads
    draft.cpuparams_batch.n_threads = params.cpuparams_batch.n_threads
    if options.get("draft_tokens"):
        draft.n_max = options["draft_tokens"]


def main() -> int:
    """Host one server until the parent goes."""
    die_with_parent()
    options = json.loads(sys.stdin.buffer.readline())
    import xllamacpp

    started = time.monotonic()
    try:
        server = xllamacpp.Server(parameters(options))
    except Exception as error:
        print(f"E evalkit: {error}", file=sys.stderr, flush=True)  # noqa: T201 - the engine's log
        return 3
    ready = {"address": server.listening_address, "load_seconds": time.monotonic() - started}
    print(json.dumps(ready), flush=True)  # noqa: T201 - the parent reads this line
    wait_for_end_of_input()
    # Tearing llama.cpp down takes seconds and can hang on open connections; there is nothing to save.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())

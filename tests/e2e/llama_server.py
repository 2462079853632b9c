"""A `llama-server` for tests: the same server and the same options, hosted by the xllamacpp wheel.

No package index carries the real binary; this stands in for it so that the path `backend.binary` takes
(command line, environment, health check, watchdog) runs for real.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading


def main() -> None:
    if "--version" in sys.argv:
        print("version: test (xllamacpp)", file=sys.stderr)  # noqa: T201
        return
    parser = argparse.ArgumentParser()
    for name in ("model", "host", "port", "parallel", "ctx-size", "threads", "threads-batch", "flash-attn"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("model-draft", "spec-type", "spec-draft-n-max"):  # as llama.cpp has them since 2026
        parser.add_argument(f"--{name}")
    for name in ("cache-ram", "reasoning-format", "n-gpu-layers"):
        parser.add_argument(f"--{name}")
    for name in ("jinja", "no-context-shift", "no-webui", "no-mmap", "no-repack", "no-warmup"):
        parser.add_argument(f"--{name}", action="store_true")
    given = parser.parse_args()
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = given.model
    params.port = int(given.port)
    params.n_parallel = int(given.parallel)
    params.n_ctx = int(given.ctx_size)
    params.flash_attn_type = {"off": 0, "on": 1, "auto": -1}[given.flash_attn]
    params.api_keys = [os.environ["LLAMA_API_KEY"]]
    params.cache_ram_mib = int(given.cache_ram)
    params.fit_params = False
    if given.model_draft:
        assert given.spec_type == "draft-simple"
        kinds = xllamacpp.common_speculative_type
        params.speculative.types = [kinds.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
        params.speculative.draft.mparams.path = given.model_draft
    server = xllamacpp.Server(params)  # it serves until the process is killed
    threading.Event().wait()
    del server


if __name__ == "__main__":
    main()

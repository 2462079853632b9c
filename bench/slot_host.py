"""The real engine child, with one thing more: it can save and restore the KV cache of a slot.

    python -m evalkit.weights.gguf.slot_host

reads the JSON line of options that `evalkit.children.llama_cpp` reads, with `state_dir` added, and serves
the same way until its standard input closes.
"""

from __future__ import annotations

import json
import os
import sys

from evalkit.children.llama_cpp import parameters
from evalkit.children.watchdog import die_with_parent, wait_for_end_of_input


def main() -> int:
    """Host one server until the parent goes."""
    die_with_parent()
    options = json.loads(sys.stdin.buffer.readline())
    import xllamacpp

    params = parameters(options)
    params.slot_save_path = options["state_dir"]
    try:
        server = xllamacpp.Server(params)
    except Exception as error:
        print(f"E evalkit: {error}", file=sys.stderr, flush=True)
        return 3
    print(json.dumps({"address": server.listening_address}), flush=True)
    wait_for_end_of_input()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())

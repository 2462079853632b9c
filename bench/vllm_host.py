"""vLLM without a server: the offline engine on a list of chats.

Run by path with the Python that has vLLM, and the path of a JSON file: `engine` (arguments of vllm.LLM),
`sampling` (of SamplingParams), `chats`, and `answer`, the file to write: `seconds` of generating alone,
`texts`, `tokens` generated.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path


def main() -> int:
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    vllm = importlib.import_module("vllm")  # not one of evalkit's own dependencies
    engine = vllm.LLM(**asked["engine"])
    started = time.monotonic()
    found = engine.chat(asked["chats"], vllm.SamplingParams(**asked["sampling"]), use_tqdm=False)
    seconds = time.monotonic() - started
    outputs = [one.outputs[0] for one in found]
    answer = {
        "seconds": seconds,
        "texts": [output.text for output in outputs],
        "tokens": sum(len(output.token_ids) for output in outputs),
    }
    Path(asked["answer"]).write_text(json.dumps(answer), encoding="utf-8")
    return 0


if __name__ == "__main__":  # the engine's process imports this file again
    sys.exit(main())

"""The tokens that a Hugging Face tokenizer makes of chats.

Run by path, with any Python that has transformers.

Reads one JSON object from standard input: `folder`, `chats` (lists of role and content), `shown` (token ids).
Prints one: `version` of transformers, `tokens` per chat, `bos` id or null, `pieces` (text by id, as decoded).
Nothing is downloaded, and no code of the tokenizer's folder is run.
"""

from __future__ import annotations

import importlib
import json
import sys


def main() -> int:
    asked = json.load(sys.stdin)
    transformers = importlib.import_module("transformers")  # not one of evalkit's own dependencies

    tokenizer = transformers.AutoTokenizer.from_pretrained(
        asked["folder"], local_files_only=True, trust_remote_code=False
    )
    tokens = [
        tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=False)
        for chat in asked["chats"]
    ]
    ids = {number for chat in tokens for number in chat} | set(asked["shown"])
    found = {
        "version": transformers.__version__,
        "tokens": tokens,
        "bos": tokenizer.bos_token_id,
        "pieces": {number: tokenizer.decode([number]) for number in ids},
    }
    print(json.dumps(found))  # noqa: T201 - the parent reads this line
    return 0


if __name__ == "__main__":
    sys.exit(main())

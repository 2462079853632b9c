"""The tokens that a Hugging Face tokenizer makes of chats and of plain texts.

Run by path, with any Python that has transformers.

Reads one JSON object from standard input: `folder`, `chats` (lists of role and content), `texts`, `shown`
(token ids), `template` (instead of the tokenizer's own, or null).
Prints one: `version` of transformers, `tokens` per chat, `texts` (of each its `tokens`, without what begins
or ends a document, and their `names` in the vocabulary), `bos` and `eos` (ids or null), `pieces` (text by id,
as decoded).
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
    given = {"chat_template": asked["template"]} if asked["template"] else {}
    how = {"add_generation_prompt": True, "tokenize": True, "return_dict": False, **given}
    tokens = [tokenizer.apply_chat_template(chat, **how) for chat in asked["chats"]]
    texts = [tokenizer.encode(text, add_special_tokens=False) for text in asked["texts"]]
    ids = {number for chat in tokens for number in chat} | set(asked["shown"])
    found = {
        "version": transformers.__version__,
        "tokens": tokens,
        "texts": [{"tokens": each, "names": tokenizer.convert_ids_to_tokens(each)} for each in texts],
        "bos": tokenizer.bos_token_id,
        "eos": tokenizer.eos_token_id,
        "pieces": {number: tokenizer.decode([number]) for number in ids},
    }
    print(json.dumps(found))  # noqa: T201 - the parent reads this line
    return 0


if __name__ == "__main__":
    sys.exit(main())

r"""Foreign text made safe to stand in a prompt: what it says stays readable, what it could do is gone.

Chat templates and tokenizers read control tokens out of plain text: `<|im_end|>`, `<s>`, `<｜User｜>`,
`<start_of_turn>`, `[INST]`, `]~b]`, `<think>`. A list of them would never be complete, but all have `<`, `[`
or `]` with something directly behind it. So each of these gets a space, and no list is needed. `\boxed` gets
one too: a judge that quotes an answer does not give its verdict by that.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

_LINE_BREAK = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt (zero-width, bidi, variation selectors,
# tag characters), and the interlinear annotations U+FFF9 to U+FFFB.
_INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    r"\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Behind a bracket, or what NFKC, which some tokenizers apply, turns into one; and in `\boxed`.
_JOINT = re.compile(r"(?<=[<﹤＜\[﹇［\]﹈］])(?=\S)|(?<=\\)(?=f?boxed)")
_TAG_DIGITS = 12


def shielded(text: str) -> str:
    """`text` without invisible and control characters and lone surrogates, its brackets broken up.

    Digits, signs, %, CJK text and LaTeX other than boxes stay as they are, so that numbers can be judged.
    Linear time; at most twice as long as `text`; `shielded(shielded(text)) == shielded(text)`.
    """
    text = _LINE_BREAK.sub("\n", text)
    text = _CONTROL.sub(" ", text)
    text = _SURROGATE.sub("\ufffd", text)
    text = _INVISIBLE.sub("", text)
    return _JOINT.sub(" ", text).strip()


def parts(text: str, head: int, tail: int) -> tuple[str, ...]:
    """A text of bounded length: nothing, the whole, or its first `head` and last `tail` characters.

    Two parts are delimited one by one: the note on what is left out stands between, where no text reaches.
    """
    if not text:
        return ()
    if len(text) <= head + tail:
        return (text,)
    return text[:head], text[-tail:]


def tag_of(texts: Sequence[str]) -> str:
    """Hexadecimal digits that occur in none of `texts` and depend on all: the same texts, the same tag."""
    digest = hashlib.sha256(json.dumps(texts).encode())
    while any((tag := digest.hexdigest()[:_TAG_DIGITS]) in text for text in texts):
        digest.update(b"again")
    return tag

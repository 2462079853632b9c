"""Data as classic scripts: a page opened from disk may load scripts, but not fetch files."""

from __future__ import annotations

import json


def chunk(name: str, content: object) -> bytes:
    """A script that hands `content` to the page: `evalkit.chunk("name", {...});`.

    `content` is JSON-able; its texts are anybody's, keys and `name` are ours (a key `__proto__` would be no
    data). `<` is escaped so that no `</script>` or `<!--` appears, the line separators U+2028 and U+2029
    because they ended lines in older JavaScript. A lone surrogate, which UTF-8 cannot hold, stays an escape.
    """
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f'evalkit.chunk("{name}",{text});\n'.encode("utf-8", "backslashreplace")

"""Numbers as people write them, with everything that bears on their size.

Handled: thousands separators, currency signs, accounting negatives ``(4.2)`` and ``$(4.2)``, ``%``, basis
points, scale words (million, bn, 万, 亿), scientific notation, fractions and ``a:b`` ratios (their quotient),
mixed numerals. Dates and years in prose are not answers. All patterns are linear; nothing is evaluated.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_DIGITS = (
    r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]{1,30})?|[0-9]{1,30}(?:\.[0-9]{1,30})?|\.[0-9]{1,30})"
)
_CURRENCY = r"(?:US\$|HK\$|[$€£¥]|USD|RMB|CNY)"
# "127:81" and "127 : 81", not "2014: 5"; "4.2 to 1", while "4 to 5" is a range.
_OVER = r"(?:\s?[/÷]\s?|:|\s:\s|\s+to\s+(?=1(?![0-9.,])))"
_QUANTITY = re.compile(
    r"(?<![0-9A-Za-z_.#])"
    rf"(?P<paren>{_CURRENCY}?\s?\(\s?)?"
    rf"(?P<sign>[-+]\s?)?{_CURRENCY}?\s?(?P<sign2>-\s?)?"
    rf"(?P<number>{_DIGITS})"
    r"(?:(?:[eE](?P<exp>[+-]?[0-9]{1,3}))(?![0-9])|\s{0,2}[×x*]\s{0,2}10\s?(?:\^|\*\*)\s?\(?(?P<pow>[+-]?[0-9]{1,3})\)?)?"
    rf"(?:{_OVER}{_CURRENCY}?(?P<below>{_DIGITS}))?"
    r"(?P<inner>\s?%)?(?P<close>\s?\))?"
)
_MIXED = re.compile(r"(?<![0-9.,/])([0-9]{1,9})\s{1,3}([0-9]{1,6})/([0-9]{1,6})(?![0-9/.,])")
_SUFFIX = re.compile(
    r"\s{0,3}(?:\$\s?)?(?:US |U\.S\. |dollars )?(?:\((?:in )?|in )?(?:"
    r"(?P<percent>%|percent(?:age)?(?: points?)?\b|pct\b|pp\b|个?百分点)|"
    r"(?P<bps>basis points?\b|bps?\b|个?基点)|"
    r"(?P<scale>thousands?\b|millions?\b|billions?\b|trillions?\b|mn\b|mm\b|bn\b|tn\b|[KMBkT](?![A-Za-z])|"
    r"m(?![A-Za-z0-9²³])|万亿|千亿|百亿|十亿|亿|千万|百万|十万|万|千))",
    re.IGNORECASE,
)
_SCALES = {
    "thousand": 1e3, "k": 1e3, "千": 1e3,
    "million": 1e6, "mn": 1e6, "mm": 1e6, "m": 1e6, "百万": 1e6,
    "billion": 1e9, "bn": 1e9, "b": 1e9, "十亿": 1e9,
    "trillion": 1e12, "tn": 1e12, "t": 1e12, "万亿": 1e12,
    "万": 1e4, "十万": 1e5, "千万": 1e7, "亿": 1e8, "百亿": 1e10, "千亿": 1e11,
}  # fmt: skip
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    r"oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DATE = re.compile(
    rf"\b{_MONTH} [0-9]{{1,2}}(?:st|nd|rd|th)?(?![0-9.,]*[0-9%])(?:,? ?(?:19|20)[0-9]{{2}})?|"
    rf"\b{_MONTH},? (?:19|20)[0-9]{{2}}\b|"
    r"(?<![0-9/])[0-9]{1,2}/[0-9]{1,2}/[0-9]{2,4}(?![0-9/])|"
    r"(?<![0-9-])(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}(?![0-9-])|"
    r"(?<![0-9.,])(?:19|20)[0-9]{2} ?年(?:度|末|底|初)?(?: ?[0-9]{1,2} ?月)?(?: ?[0-9]{1,2} ?日)?",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r"(?<![0-9.,])[0-9]{1,2}(?:st|nd|rd|th)\b|第[0-9]{1,3}", re.IGNORECASE)
_DOWN = re.compile(
    r"\b(?:declin|decreas|fell\b|fall|drop|reduc|lower|negative|minus|loss\b)|下降|减少|下跌|降低|下滑|负|亏损",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number. ``value`` is as shown (7.87% is 7.87); ``half_unit`` is half of its last digit's worth
    (0 for a quotient). ``shown`` is its digits, ``start`` and ``end`` its place in the snippet.

    ``scale`` is that of the word after it (million: 1e6; 1 without one). ``down`` says that the words
    before it speak of a decrease, so that its minus sign may be in them.
    """

    value: float
    half_unit: float
    shown: str
    start: int
    end: int
    percent: bool = False
    scale: float = 1.0
    down: bool = False

    @property
    def one_digit(self) -> bool:
        """Whether it is one digit without decimals: more often a count than a rounded value."""
        return len(self.shown) == 1 and self.half_unit > 0

    @property
    def year(self) -> bool:
        """Whether it looks like a calendar year: 2014, but not 2,014, 2014% or 2014 million."""
        plain = len(self.shown) == 4 and self.shown.isdigit() and self.half_unit == 0.5
        return plain and self.scale == 1 and not self.percent and 1900 <= abs(self.value) <= 2100


def quantities(text: str) -> list[Quantity]:
    """The numbers of a plain snippet (see `normalize.plain`) in order, without those of dates."""
    text = _DATE.sub(_blank, text)
    text = _ORDINAL.sub(_blank, text)
    found: list[Quantity] = []
    position = 0
    while match := _QUANTITY.search(text, position):
        quantity = _mixed(text, match.start("number")) or _quantity(text, match)
        position = max(quantity.end if quantity else match.end(), match.end("number"))
        if quantity:
            found.append(quantity)
    return found


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _quantity(text: str, match: re.Match[str]) -> Quantity | None:
    size = _size(match)
    if size is None:
        return None
    value, half_unit = size
    end = match.start("close") if match["close"] and not match["paren"] else match.end()
    negative = "-" in (match["sign"] or match["sign2"] or "")
    if match["paren"] and match["close"] and _accounting(text, match.start("paren")):
        negative = True
    end, percent, scale, divisor = _unit(text, end)
    value, half_unit, percent = value / divisor, half_unit / divisor, percent or bool(match["inner"])
    down = bool(_DOWN.search(text, max(0, match.start() - 60), match.start()))
    start = match.start("number")
    return Quantity(
        -value if negative else value, half_unit, match["number"], start, end, percent, scale, down
    )


def _unit(text: str, end: int) -> tuple[int, bool, float, float]:
    """The unit after a number: its end, whether it is percent, its scale, and what basis points divide by."""
    suffix = _SUFFIX.match(text, end)
    if not suffix:
        return end, False, 1.0, 1.0
    word = (suffix["scale"] or "").lower()
    scale = (_SCALES.get(word) or _SCALES[word.rstrip("s")]) if word else 1.0
    return suffix.end(), not word, scale, 100.0 if suffix["bps"] else 1.0


def _size(match: re.Match[str]) -> tuple[float, float] | None:
    """Value without sign and half a unit of its last digit; None if it is no finite number."""
    shown = match["number"].replace(",", "")
    exponent = match["exp"] or match["pow"] or "0"
    value = float(f"{shown}e{exponent}")
    half_unit = float(f"0.5e{int(exponent) - len(shown.partition('.')[2])}")
    if match["below"]:
        below = float(match["below"].replace(",", ""))
        if below == 0:
            return None
        value, half_unit = value / below, 0.0
    return (value, half_unit) if math.isfinite(value) and math.isfinite(half_unit) else None


def _accounting(text: str, start: int) -> bool:
    """Whether the brackets that open at `start` mean a minus: not those of a remark, as in "5 (4.2)"."""
    before = text[max(0, start - 40) : start].rstrip()
    return not before or before[-1] in "=≈:$-" or before.endswith((" is", " was", " of", " are"))


def _mixed(text: str, start: int) -> Quantity | None:
    match = _MIXED.match(text, start)
    if not match or int(match[3]) == 0:
        return None
    value = int(match[1]) + int(match[2]) / int(match[3])
    negative = text[:start].rstrip().endswith("-")
    end, percent, scale, _ = _unit(text, match.end())
    return Quantity(-value if negative else value, 0.0, match[0], start, end, percent, scale)

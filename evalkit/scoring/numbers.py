"""Numbers as people write them, with everything that bears on their size.

Handled: separators of thousands (1,234.5, 1 234.5, 1'234.5), decimal commas, currency signs, accounting
negatives ``(4.2)`` and ``($4.2 million)``, ``%``, basis points, scale words (million, bn, 万, 亿), scientific
notation, fractions and ``a:b`` ratios (their quotient), mixed numerals. Dates are not answers, and years only
where nothing else is. All patterns are linear; nothing is evaluated.

The number that an answer commits to, of all those in its text,.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

# 1,234.5; 1 234.5, 1'234.5 and 1_234.5; 1.234,5; 1.234.567; 12,34,567; 7,87 and 0,0787 (no 2,014); 1234.5
_DIGITS = (
    r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]{1,30})?|"
    r"[0-9]{1,3}(?:(?: [0-9]{3})+|(?:'[0-9]{3})+|(?:_[0-9]{3})+)(?![0-9/])(?:[.,][0-9]{1,30}(?![0-9]))?|"
    r"[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]{1,30}(?![0-9.,])|[0-9]{1,3}(?:\.[0-9]{3}){2,}(?![0-9.])|"
    r"[0-9]{1,2}(?:,[0-9]{2}){1,4},[0-9]{3}(?![0-9])(?:\.[0-9]{1,30})?|"
    r"(?:[0-9]{1,3}|(?!19|20)[0-9]{4,6}),(?:[0-9]{1,2}|[0-9]{4,10})(?![0-9]|[.,][0-9])|0,[0-9]{3}(?![0-9.,])|"
    r"[0-9]{1,30}(?:\.[0-9]{1,30})?|\.[0-9]{1,30})"
)
_CURRENCY = r"(?:US\$|HK\$|[$€£¥]|(?:USD|RMB|CNY|EUR|GBP|HKD)\s?)"
_MONEY_AFTER = re.compile(
    r"\s?(?:元|美元|港元|欧元|人民币|dollars?\b|USD\b|RMB\b|CNY\b|EUR\b|yuan\b|euros?\b|€)", re.IGNORECASE
)
# "127:81" and "127 : 81", not "2014: 5"; "4.2 to 1", while "4 to 5" is a range.
_OVER = r"(?:\s?[/÷]\s?|:|\s:\s|\s+to\s+(?=1(?![0-9.,])))"
_QUANTITY = re.compile(
    r"(?<![0-9A-Za-z_.#])"
    rf"(?P<paren>{_CURRENCY}?\s?\(\s?)?"
    rf"(?P<sign>[-+]\s?)?{_CURRENCY}?\s?(?P<sign2>-\s?)?"
    rf"(?P<number>{_DIGITS})"
    r"(?:(?:[eE](?P<exp>[+-]?[0-9]{1,3}))(?![0-9])|\s{0,2}[×x*]\s{0,2}10\s?(?:\^|"
    r"\*\*)\s?\(?(?P<pow>[+-]?[0-9]{1,3})\)?)?"
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

Direction = Literal["", "up", "down", "loss"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number. ``value`` is as shown (7.87% is 7.87); ``half_unit`` is half of its last digit's worth
    (0 for a quotient). ``shown`` is its digits, ``start`` and ``end`` its place in the snippet.

    ``scale`` is that of the word after it (million: 1e6; 1 without one). ``money``: a currency stands beside
    it. ``direction`` is that of the words that govern it, if it was looked for: a decrease may be a minus.
    """

    value: float
    half_unit: float
    shown: str
    start: int
    end: int
    percent: bool = False
    scale: float = 1.0
    money: bool = False
    direction: Direction = ""

    @property
    def one_digit(self) -> bool:
        """Whether it is one digit without decimals: more often a count than a rounded value."""
        return len(self.shown) == 1 and self.half_unit > 0

    @property
    def counts(self) -> bool:
        """Whether it may count things: a whole number below 100 without a unit."""
        return (
            self.shown.isdigit()
            and len(self.shown) < 3
            and self.scale == 1
            and not (self.percent or self.money)
        )

    @property
    def year(self) -> bool:
        """Whether it looks like a calendar year: 2014, but not 2,014, 2014% or 2014 million."""
        plain = len(self.shown) == 4 and self.shown.isdigit() and self.half_unit == 0.5
        return (
            plain and self.scale == 1 and not (self.percent or self.money) and 1900 <= abs(self.value) <= 2100
        )


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
    money = match[0].lstrip("(+- ")[0] not in "0123456789." or bool(_MONEY_AFTER.match(text, end))
    end, percent, scale, divisor = _unit(text, end)
    if match["paren"] and _accounting(text, match.start("paren")):
        if match["close"]:
            negative = True
        elif close := _CLOSE.match(text, end):
            negative, end = True, close.end()
    value, half_unit, percent = value / divisor, half_unit / divisor, percent or bool(match["inner"])
    start, shown = match.start("number"), match["number"].rstrip()
    return Quantity(-value if negative else value, half_unit, shown, start, end, percent, scale, money)


_CLOSE = re.compile(r"\s?(?:dollars|USD|元)?\s?\)")


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
    shown = _decimal(match["number"])
    exponent = match["exp"] or match["pow"] or "0"
    value = float(f"{shown}e{exponent}")
    half_unit = float(f"0.5e{int(exponent) - len(shown.partition('.')[2])}")
    if match["below"]:
        below = float(_decimal(match["below"]))
        if below == 0:
            return None
        value, half_unit = value / below, 0.0
    return (value, half_unit) if math.isfinite(value) and math.isfinite(half_unit) else None


_DECIMAL_COMMA = re.compile(
    r"(?:[0-9]{1,3}(?:[. '_][0-9]{3})+|[0-9]{1,6}),(?:[0-9]{1,2}|[0-9]{4,30})\Z|(?:0|"
    r"[0-9]{1,3}(?:\.[0-9]{3})+),[0-9]{3}\Z"
)


def _decimal(shown: str) -> str:
    """Digits with a decimal point and no separators."""
    if "," not in shown and shown.count(".") < 2:
        return shown.replace(" ", "").replace("'", "").replace("_", "")
    if _DECIMAL_COMMA.match(shown):
        whole, _, fraction = shown.rpartition(",")
        return f"{re.sub('[^0-9]', '', whole)}.{fraction}"
    shown = shown.replace(",", "").replace(" ", "").replace("'", "").replace("_", "")
    return shown.replace(".", "") if shown.count(".") > 1 else shown


def _accounting(text: str, start: int) -> bool:
    """Whether the brackets that open at `start` mean a minus: not those of a remark, as in "5 (4.2)"."""
    before = text[max(0, start - 40) : start].rstrip()
    return not before or before[-1] in "=≈:$-是为" or before.endswith(_BEFORE_ACCOUNTING)


_BEFORE_ACCOUNTING = tuple(f" {word}" for word in ("is", "was", "of", "are", "were", "by", "to", "be"))


def _mixed(text: str, start: int) -> Quantity | None:
    match = _MIXED.match(text, start)
    if not match or int(match[3]) == 0:
        return None
    value = int(match[1]) + int(match[2]) / int(match[3])
    negative = text[:start].rstrip().endswith("-")
    end, percent, scale, _ = _unit(text, match.end())
    return Quantity(-value if negative else value, 0.0, match[0], start, end, percent, scale)


_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = {word: float(value) for value, word in enumerate(_ONES)}
_WORDS |= {word: 20.0 + 10 * place for place, word in enumerate(_TENS)}
_WORDS |= {"half": 0.5, "nil": 0.0}
_PARTS = {
    "half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fifth": 5, "fifths": 5,
    "tenth": 10, "tenths": 10,
}  # fmt: skip
_GROUPS = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9}
_NUMBER_WORD = "|".join(sorted({*_WORDS, *_PARTS, *_GROUPS, "point", "and", "a"}, key=len, reverse=True))
_IN_WORDS = re.compile(rf"\b(?:{_NUMBER_WORD})(?:[\s-](?:{_NUMBER_WORD}))*\b", re.IGNORECASE)
_ZH_DIGITS = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_ZH_UNITS = {"十": 10.0, "百": 100.0, "千": 1e3}
_ZH_WORDS = re.compile(
    r"(百分之)?(负)?([零〇一二两三四五六七八九十百千]{1,12})(?:点([零〇一二三四五六七八九]{1,8}))?"
)
_UNCHANGED = re.compile(
    r"\bno (?:net )?(?:change|difference|increase|decrease)\b|\bunchanged\b|\b(?:did not|didn't) change\b|"
    r"(?:没有?|无|未)(?:发生)?(?:变化|变动|改变|差异)|不变|持平",
    re.IGNORECASE,
)


def in_words(text: str) -> Quantity | None:
    """A number in words that is the answer: "three", "twenty-five percent", 百分之五; "no change" is 0."""
    if len(text) > 120:
        return None
    if unchanged := _UNCHANGED.search(text):
        return Quantity(0.0, 0.0, unchanged[0], unchanged.start(), unchanged.end())
    for match in _IN_WORDS.finditer(text):
        value = _english(re.split(r"[\s-]+", match[0].lower()))
        if value is not None:
            end, percent, scale, divisor = _unit(text, match.end())
            minus = text[: match.start()].rstrip().lower().endswith(("minus", "negative", "-"))
            value = (-value if minus else value) / divisor
            return Quantity(value, 0.0, match[0], match.start(), end, percent, scale)
    if match_zh := _ZH_WORDS.fullmatch(text.strip(" \t\n.。约元年个人家")):
        return _chinese(match_zh)
    return None


def _english(words: list[str]) -> float | None:
    """The value of words like "one point five", "two thirds", "one hundred and five"; None without one."""
    total = current = 0.0
    counted = False
    for place, word in enumerate(words):
        if word == "point":
            digits = "".join(
                str(int(_WORDS[w])) for w in words[place + 1 :] if w in _WORDS and _WORDS[w] % 1 == 0
            )
            return total + current + float(f"0.{digits}") if digits and counted else None
        if word in _PARTS and counted and words[place - 1] == "a":
            return total + current + 1.0 / _PARTS[word]
        if word in _PARTS and (counted or words[0] == "a"):
            return total + (current or 1.0) / _PARTS[word]
        if word in _WORDS:
            current, counted = current + _WORDS[word], True
        elif word in _GROUPS:
            if not counted and words[0] != "a":
                return None
            current = (current or 1.0) * _GROUPS[word]
            counted = True
            if word != "hundred":
                total, current = total + current, 0.0
    return total + current if counted else None


def _chinese(match: re.Match[str]) -> Quantity:
    total = current = 0.0
    for character in match[3]:
        if character in _ZH_UNITS:
            total, current = total + (current or 1.0) * _ZH_UNITS[character], 0.0
        else:
            current = (
                current * 10 + _ZH_DIGITS[character]
                if match[3].isalpha() and not total
                else float(_ZH_DIGITS[character])
            )
    value = total + current
    if match[4]:
        value += float("0." + "".join(str(_ZH_DIGITS[character]) for character in match[4]))
    return Quantity(-value if match[2] else value, 0.0, match[0], match.start(), match.end(), bool(match[1]))

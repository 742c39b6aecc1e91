"""The normalization of answers that SQuAD's own scorer uses, for any script and for numbers.

Source: Rajpurkar et al. 2018, "Know What You Don't Know: Unanswerable Questions for SQuAD", and
its evaluation script for version 2.0, which knows ASCII punctuation alone and takes "-5" for "5",
"3.5" for "35" and "C#" for "C".
"""

from __future__ import annotations

import re
import unicodedata

from deltatune.metrics.words import fold

_ARTICLES = {"a", "an", "the"}
_SYMBOL = re.compile(r"[^\w\s]|_")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{2,3})*,\d{3}(?!\d|,\d)")
_NUMBER_AFTER = re.compile(r".[$£€¥]?[.٫]?\d")
_MINUS = "-\u2010\u2011\u2012\u2013"
_BEFORE_NUMBER = "([{<=>±≈/:$£€¥\"'“‘«"
# Of other symbols none is dropped: "$" is as in SQuAD, the rest is spacing or markup.
_DROPPED = "$^`|~"
# Within a word, as apostrophe and hyphen are in ASCII: quotes, hyphens, Hebrew's geresh, l·l.
_IN_WORDS = "\u2010\u2011\u05f3\u05f4\u00b7"


def normalize(text: str, language: str = "en") -> str:
    """Fold the text, drop punctuation, then spare white space and, of English, articles.

    Signs and decimals of numbers are kept, and so is a text that has nothing but punctuation. The
    order matters: "a-b" becomes "ab" and keeps its a, as in the original.
    """
    folded = fold(text).replace("\u2212", "-")
    grouped = _THOUSANDS.sub(lambda match: match.group().replace(",", ""), folded)
    words = (_SYMBOL.sub(_replacement, grouped).strip() or folded).split()
    if language == "en":
        words = [word for word in words if word not in _ARTICLES]
    return " ".join(words)


def signature(language: str) -> str:
    """Say the normalization, for the signatures of the metrics."""
    articles = "no a/an/the" if language == "en" else f"articles kept ({language})"
    return (
        "norm:squad (NFKC, casefold, no Unicode punctuation; signs, decimals and symbols kept; "
        f"{articles})"
    )


def _replacement(match: re.Match[str]) -> str:
    """What stands for a character that is neither letter, digit nor white space."""
    char, text, start = match.group(), match.string, match.start()
    before, after = text[max(start - 1, 0) : start], text[start + 1 : start + 2]
    category = unicodedata.category(char)
    if category[0] != "P" and char not in _DROPPED:
        return char
    opens = not before or before.isspace() or before in _BEFORE_NUMBER
    if char in _MINUS and opens and _NUMBER_AFTER.match(text, start):
        return "-"
    if char in ".٫" and after.isdecimal() and (opens or before.isdecimal() or before in "-+"):
        return char
    between = before.isdecimal() and after.isdecimal()
    if char == "," and between:  # what groups thousands is gone
        return char
    if char == "#" and before.isalpha() and not after.isalnum():
        return char
    if char in "'_٬" or category in ("Pi", "Pf") or char in _IN_WORDS:
        return ""
    return "" if char.isascii() and not between else " "

"""Texts of any script, made comparable and divided into words, and what that cannot judge."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_POWER = re.compile(f"(?<=[^{_SUPERSCRIPTS}])(?=[{_SUPERSCRIPTS}])")
_FRACTION = re.compile(r"(?<=\d)(?=[¼½¾⅐-⅞])")
# Ignorable though not of category Cf: grapheme joiner, fillers, variation selectors.
_IGNORABLE = {0x34F, 0x115F, 0x1160, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10)}
_IGNORABLE |= set(range(0xE0100, 0xE01F0))
# Han with its marks of iteration, Kana, Bopomofo.
_CJK = (
    *((0x3005, 0x3007), (0x3021, 0x3029), (0x3031, 0x3035), (0x3038, 0x303C), (0x3041, 0x30FF)),
    *((0x3105, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF)),
    *((0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1AFF0, 0x1B16F), (0x20000, 0x3FFFD)),
)
# Thai and Lao, Myanmar, Khmer: words are not separated, and a letter is less than a syllable.
_UNSPACED = ((0xE00, 0xEFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F))
_UNSPACED_CHARACTERS = [chr(code) for low, high in _UNSPACED for code in range(low, high + 1)]
_UNSPACED_LETTER = re.compile(
    f"[{''.join(char for char in _UNSPACED_CHARACTERS if unicodedata.category(char)[0] == 'L')}]"
)
_REPORTED = 0.05
"""From this share on a caveat is given."""


class _Folded(dict):
    """Code point -> what stands for it: nothing for the ignorable ones."""

    def __missing__(self, code: int) -> int | None:
        ignorable = code in _IGNORABLE or unicodedata.category(chr(code)) == "Cf"
        self[code] = None if ignorable else code
        return self[code]


class _ByCharacter(dict):
    """Code point -> the character, apart from its neighbors if it is Han or Kana."""

    def __missing__(self, code: int) -> str:
        self[code] = f" {chr(code)} " if is_cjk(code) else chr(code)
        return self[code]


class _Words(dict):
    """The same for letters, their marks and digits, and a space for all else."""

    def __missing__(self, code: int) -> str:
        is_word = unicodedata.category(chr(code))[0] in "LMN"
        self[code] = _BY_CHARACTER[code] if is_word else " "
        return self[code]


_FOLDED, _BY_CHARACTER, _WORDS = _Folded({0xB4: "'"}), _ByCharacter(), _Words()


def is_cjk(code: int) -> bool:
    """Whether a code point is a letter or number of Han, Kana or Bopomofo."""
    return unicodedata.category(chr(code))[0] in "LN" and _within(code, _CJK)


def fold(text: str) -> str:
    """A text without what only looks different: NFKC and casefold, without ignorable characters.

    That is NFKC_Casefold of the Unicode Standard (section 3.13), except that "10²" stays apart from
    "102", and "1½" from "11/2".
    """
    if text.isascii():
        return text.lower()
    text = _FRACTION.sub(" ", _POWER.sub("^", text)).translate(_FOLDED)
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def words(text: str) -> list[str]:
    """The words of a text: letters and digits of any script, Han and Kana by the character.

    Of ASCII text these are the tokens of rouge_score without its stemmer.
    """
    return fold(text).translate(_WORDS).split()


def split_cjk(text: str) -> list[str]:
    """Divide a text at white space, Han and Kana by the character."""
    return text.split() if text.isascii() else text.translate(_BY_CHARACTER).split()


def dropped(references: Iterable[str], tokens: str) -> list[str]:
    """A caveat where a notable share of the references is symbols, which are in no word."""
    counts = Counter("".join(references))
    visible = sum(n for char, n in counts.items() if not char.isspace())
    symbols = sum(n for char, n in counts.items() if unicodedata.category(char)[0] == "S")
    if not visible or symbols / visible < _REPORTED:
        return []
    return [
        f"{tokens} drops {symbols / visible:.0%} of the references' characters, which are symbols: "
        f"chrf and exact_match_raw count them"
    ]


def unspaced(references: Iterable[str], tokens: str, cjk: bool = False) -> list[str]:
    """A caveat where a notable share of the references is of scripts without spaces.

    cjk: whether Han and Kana are not divided either.
    """
    share = _unspaced_share(references, cjk)
    if share < _REPORTED:
        return []
    return [
        f"{share:.0%} of the references' letters are of a script written without spaces, of which "
        f"{tokens} takes a whole phrase for a word: judge by chrf, and set the task's language"
    ]


def unspaced_text(texts: Iterable[str]) -> list[str]:
    """The same of running text whose words are what stands between spaces."""
    share = _unspaced_share(texts, cjk=True)
    if share < _REPORTED:
        return []
    return [
        f"{share:.0%} of the text's letters are of a script written without spaces, of which word "
        "perplexity takes all between two spaces for a word: judge by bits_per_byte"
    ]


def length(text: str) -> int:
    """How many words a text has; of scripts without spaces, whose words are not told apart, how
    many letters."""
    return sum(max(1, len(_UNSPACED_LETTER.findall(word))) for word in words(text))


def _unspaced_share(texts: Iterable[str], cjk: bool) -> float:
    """Of the letters. cjk: whether Han and Kana count."""
    counts = Counter("".join(texts))
    letters = {char: n for char, n in counts.items() if unicodedata.category(char)[0] in "LM"}
    unspaced = sum(
        n
        for char, n in letters.items()
        if _within(ord(char), _UNSPACED) or (cjk and is_cjk(ord(char)))
    )
    return unspaced / max(sum(letters.values()), 1)


def _within(code: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(low <= code <= high for low, high in ranges)

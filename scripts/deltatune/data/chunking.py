"""A plain text as chunks: whole sentences, up to a number of words, never across a chapter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import pandas as pd

from deltatune.data.records import OFFSETS, PARAGRAPH_GAP

# ---------------------------------------------------------------- chunks


def chunk_text(
    paragraphs: Iterable[str], max_words: int, documents: Iterable[str] | None = None
) -> pd.DataFrame:
    """Cut a text, or several, into chunks.

    paragraphs: blocks of text in order, as `readers.read.read_text` yields them; line breaks inside
    are those of the file. max_words: longest chunk, in words (runs without white space).
    documents: the name of each paragraph's document, where there are several. A chunk is of one of
    them, and its chapter begins with that name.

    Headings ("Letter 1", "CHAPTER IV. A Title", "Volume I", "Preface"; also "Chapter 1" whose
    second digit fell onto the next line) are taken out of the text and name the chapter, as
    "Letter 1", "Volume 1, Chapter 4" or "" before the first. Every other word stays, in order.
    A chunk holds as many whole sentences as fit, a longer one is cut at words; line breaks inside a
    paragraph become spaces, and a blank line is between paragraphs.

    Returns a frame: row (int64, from 1), chapter, text, and OFFSETS. Its attrs are "source": the
    whole text in the same form, headings included, of which each chunk is source[start:end],
    neighbors apart by the space or the blank line that was between them; "headings" (the text
    taken out, in order); "sentences_cut" (their number).
    """
    if max_words < 1:
        raise ValueError(f"max_words must be 1 or more, not {max_words}")
    headings: list[str] = []
    blocks: list[str] = []  # of the source: headings and paragraphs
    position = 0  # of the next block in it
    chapter, split = "", 0
    chapters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    size = 0  # words of the open chunk, which is the last one; 0: none is open

    for part in _parts(paragraphs, documents):
        if isinstance(part, _Heading):
            size = 0
            chapter = part.label
            if not part.raw:  # the name of a document
                continue
            headings.append(part.raw)
            blocks.append(part.raw)
        else:
            at = position
            for sentence in sentences(part):
                split += len(sentence) > max_words
                for start in range(0, len(sentence), max_words):
                    words = sentence[start : start + max_words]
                    end = at + sum(map(len, words)) + len(words) - 1
                    if size == 0 or size + len(words) > max_words:
                        chapters.append(chapter)
                        starts.append(at)
                        ends.append(end)
                        size = 0
                    ends[-1] = end
                    size += len(words)
                    at = end + 1
            blocks.append(" ".join(part))
        position += len(blocks[-1]) + len(PARAGRAPH_GAP)
    frame = _frame(PARAGRAPH_GAP.join(blocks), chapters, starts, ends)
    frame.attrs |= {"headings": headings, "sentences_cut": split}
    return frame


def _frame(source: str, chapters: list[str], starts: list[int], ends: list[int]) -> pd.DataFrame:
    texts = [source[start:end] for start, end in zip(starts, ends, strict=True)]
    frame = pd.DataFrame(
        {
            "row": pd.Series(range(1, len(texts) + 1), dtype="int64"),
            "chapter": pd.Series(chapters, dtype="str"),
            "text": pd.Series(texts, dtype="str"),
            OFFSETS[0]: pd.Series(starts, dtype="int64"),
            OFFSETS[1]: pd.Series(ends, dtype="int64"),
        }
    )
    frame.attrs["source"] = source
    return frame


# ---------------------------------------------------------------- headings


def _list(words: str) -> tuple[str, ...]:
    return tuple(words.split())


# The level of a heading: a heading ends all of its own level and below, so that the first
# chapter of a second volume is no longer part of the first.
_LEVELS = {
    "volume": 0,
    "book": 1,
    "part": 2,
    "act": 2,
    "chapter": 3,
    "letter": 3,
    "canto": 3,
    "stave": 3,
    "scene": 3,
}
_SHORT = {"vol": "volume", "chap": "chapter"}
_UNNUMBERED = _list(
    "preface prologue epilogue introduction foreword afterword conclusion postscript interlude"
)
_HEADING = re.compile(rf"({'|'.join([*_LEVELS, *_SHORT])})\b\.?\s+(?:the\s+)?(\S.*)", re.IGNORECASE)
# A number of two words (Twenty One) is tried before one of a single word.
_NUMBERS = [
    re.compile(rf"(?P<number>{form})(?P<punctuation>\s*[.:]?\s*[-–—]*)")
    for form in (r"[A-Za-z]+[- ][A-Za-z]+", r"\d{1,4}|[A-Za-z]+")
]
# Up to 399. A single C, D, L or M is rather a letter ("Part C"), and "mix" is a word.
_ROMAN = re.compile(r"(?![CL]$)C{0,3}(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")
_TITLE_WORDS = 12

_UNITS = _list(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = _list(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
    "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"
)


def _words_for_numbers() -> dict[str, int]:
    numbers = {word: n for words in (_UNITS, _ORDINALS) for n, word in enumerate(words, 1)}
    for ten, word in enumerate(_TENS, 2):
        numbers[word] = numbers[word[:-1] + "ieth"] = 10 * ten
        for units in (_UNITS, _ORDINALS):
            for n, unit in enumerate(units[:9], 1):
                numbers[f"{word} {unit}"] = 10 * ten + n
    return numbers


_NUMBER_WORDS = _words_for_numbers()


class _Heading(NamedTuple):
    label: str
    raw: str


class _Line(NamedTuple):
    """A line that reads like a heading."""

    word: str  # chapter, letter, ..., or the whole of an unnumbered one
    number: int | None
    title: str
    sure: bool  # CHAPTER IV. with a title: a heading whatever the rest of the line is
    digits: bool  # the number is written in digits


def _parts(
    paragraphs: Iterable[str], documents: Iterable[str] | None
) -> Iterator[_Heading | list[str]]:
    """The structure of each document, its name before it and before its chapters."""
    if documents is None:
        yield from _structure(paragraphs)
        return
    pairs = zip(documents, paragraphs, strict=True)
    for name, group in groupby(pairs, key=itemgetter(0)):
        yield _Heading(raw="", label=name)
        for part in _structure([paragraph for _, paragraph in group]):
            is_heading = isinstance(part, _Heading)
            yield part._replace(label=f"{name}, {part.label}") if is_heading else part


def _structure(paragraphs: Iterable[str]) -> Iterator[_Heading | list[str]]:
    """The text as headings and, between them, paragraphs as lists of words."""
    blocks = [lines for p in paragraphs if (lines := [x for x in p.split("\n") if x.strip()])]
    current: dict[int, str] = {}  # level -> "Chapter 4"
    last: dict[str, int] = {}  # kind of heading -> the number it had last
    i = 0
    while i < len(blocks):
        lines = blocks[i]
        i += 1
        while lines:
            line = _read_heading(lines)
            if line is None:
                end = next((n for n in range(1, len(lines)) if _breaks_off(lines, n)), len(lines))
                yield [word for text in lines[:end] for word in text.split()]
                lines = lines[end:]
                continue
            taken, rest = [lines[0]], lines[1:]
            if line.title and line.sure and len(line.title.split()) > _TITLE_WORDS:
                # Too long for a title: the line goes on as text.
                words = lines[0].split()
                cut = len(words) - len(line.title.split())
                taken, rest = [" ".join(words[:cut])], [line.title, *rest]
            number = line.number
            if not line.title:
                # What belongs to the heading may stand on the next line, or in the next block.
                ahead = rest or (blocks[i] if i < len(blocks) else [])
                broken = line.digits and bool(ahead) and (rest or len(ahead) == 1)
                if broken and (joined := _joined(number, ahead[0], last.get(line.word, 0))):
                    number = joined
                    taken.append(ahead[0])
                    if rest:
                        rest = rest[1:]
                    else:
                        i += 1
                    ahead = rest or (blocks[i] if i < len(blocks) else [])
                if len(ahead) == 1 and _is_title(ahead[0], capitals=not rest):
                    taken.append(ahead[0])
                    if rest:
                        rest = []
                    else:
                        i += 1
            elif line.sure and len(rest) == 1 and _is_title(rest[0], capitals=True):
                taken.append(rest.pop())
            level = _LEVELS.get(line.word, 3)
            current = {key: value for key, value in current.items() if key < level}
            name = line.word.capitalize()
            current[level] = f"{name} {number}" if number else name
            if number:
                last[line.word] = number
            label = ", ".join(current[key] for key in sorted(current))
            yield _Heading(label, " ".join(" ".join(taken).split()))
            lines = rest


def _parse(text: str) -> _Line | None:
    """A line as a heading, by itself; None for anything else."""
    line = text.strip().strip("#*_=~").strip()
    bare = line.rstrip(".:").casefold()
    if bare in _UNNUMBERED and line[0].isupper():
        return _Line(bare, None, "", True, False)
    match = _HEADING.fullmatch(line)
    if not match:
        return None
    word, rest = match[1], match[2]
    for pattern in _NUMBERS:
        numbered = pattern.match(rest)
        number = _number(numbered["number"]) if numbered else None
        if number is not None:
            break
    else:
        return None
    after = rest[numbered.end() :]
    punctuated = bool(numbered["punctuation"].strip())
    title = after.strip()
    if title and not punctuated and not numbered["punctuation"] and not after[0].isspace():
        return None  # "Chapter 4th", "Part 1's"
    kind = _SHORT.get(word.casefold(), word.casefold())
    digits = numbered["number"].isdigit()
    in_capitals = word.isupper() and len(word) > 1
    if not title:
        return _Line(kind, number, "", True, digits)
    if title[0].islower() or not word[0].isupper():
        return None
    if not punctuated:
        # "Chapter 1 The Storm", but not "Letter I Wrote", nor a sentence about a chapter.
        if numbered["number"] == "I" and not in_capitals:
            return None
        if title[-1] in ".,;" or any(len(w) > 3 and w[0].islower() for w in title.split()):
            return None
    return _Line(kind, number, title, in_capitals and punctuated, digits)


def _read_heading(lines: list[str]) -> _Line | None:
    """The heading that a block begins with, if it does."""
    line = _parse(lines[0])
    if line is None or not line.title or line.sure:
        return line
    if len(line.title.split()) > _TITLE_WORDS:
        return None
    # With a title it must stand alone, or among others in a table of contents; else it is the
    # first line of a paragraph ("Chapter 1. It was a dark ...").
    return line if len(lines) == 1 or _parse(lines[1]) else None


def _breaks_off(lines: list[str], n: int) -> bool:
    """Whether line n is a bare heading in the middle of a block, not part of a sentence."""
    line = _parse(lines[n])
    if line is None or line.title:
        return False
    before = lines[n - 1].strip().rstrip(_CLOSING)
    after = lines[n + 1].strip() if n + 1 < len(lines) else ""
    return bool(before) and before[-1] in _STOPS and not after[:1].islower()


def _joined(number: int | None, text: str, last: int) -> int | None:
    """The number whose later digits fell onto the next line, or None where they did not.

    The order of the chapters decides: after Chapter 9, "1" and "0" are 10; after nothing,
    "Chapter 1" and "1" are chapter 1 and something else. A lone 0 can only be a digit.
    """
    digits = text.strip()
    if number is None or not re.fullmatch(r"[0-9]{1,2}", digits):
        return None
    joined = int(f"{number}{digits}")
    expected = last + 1
    if joined == expected or digits == "0" or (number != expected and joined > last > 0):
        return joined
    return None


def _number(text: str) -> int | None:
    """A chapter's number from digits, Roman numerals or words."""
    if text.isdigit():
        return int(text) or None
    words = text.casefold().replace("-", " ")
    if words in _NUMBER_WORDS:
        return _NUMBER_WORDS[words]
    if not (text.isupper() or text.islower()) or not _ROMAN.fullmatch(text.upper()):
        return None
    worth = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
    values = [worth[c] for c in text.upper()]
    following = [*values[1:], 0]
    return sum(v if v >= n else -v for v, n in zip(values, following, strict=True))


def _is_title(text: str, capitals: bool) -> bool:
    """Whether a line under a heading is its title. In doubt it is text, and stays.

    A date or an address also stands there, so a comma, a digit or a stop at the end speaks
    against; capitals: only a line in capitals counts.
    """
    line = text.strip().strip("#*_")
    words = line.split()
    if not words or len(words) > _TITLE_WORDS or _parse(line):
        return False
    if re.search(r"[\d,;\"“”!?.:]", line.rstrip(".")) or not line[0].isupper():
        return False
    if line.isupper():
        return len(line) > 3  # "I." is no title
    return (
        not capitals
        and line[-1].isalpha()
        and all(len(word) <= 3 or not word[0].islower() for word in words)
    )


# ---------------------------------------------------------------- sentences

_STOPS = ".!?…。！？"
_OPENING = "\"'“‘«‹([{*_-–—"
_CLOSING = "\"'”’»›)]}*_-–—"
# Never the end of a sentence.
_TITLES = _list(
    "mr mrs ms mx dr st ste prof rev hon capt col gen lt sgt maj cpl adm cmdr gov sen rep "
    "pres messrs mme mlle mgr mt ft vs viz cf e.g i.e ph.d"
)
# Not the end where a number follows: No. 5, Vol. II, Dec. 11th.
_BEFORE_NUMBERS = _list(
    "no nos vol vols ch chap p pp fig figs art sec ed jan feb mar apr jun jul aug sep sept "
    "oct nov dec ca approx"
)
_INITIALS = re.compile(r"[A-Z](\.[A-Z])*")


def sentences(words: list[str]) -> Iterator[list[str]]:
    """The sentences of a paragraph, each as words.

    A rule of thumb for prose in Latin script, and it errs on the side of leaving two sentences
    together: only their number in a chunk depends on it, no word does.
    """
    start = 0
    for i in range(len(words)):
        if i + 1 == len(words) or _ends(words[i], words[i + 1], begins=i == start):
            yield words[start : i + 1]
            start = i + 1


def _ends(word: str, following: str, begins: bool) -> bool:
    """Whether a sentence ends between two words. first: the word begins the sentence."""
    core = word.rstrip(_CLOSING)
    if not core or core[-1] not in _STOPS:
        return False
    begin = following.lstrip(_OPENING + ".…")
    # Lower case goes on: "Are they Germans?" he asked. Marks alone belong to what is before.
    if not begin or begin[0].islower():
        return False
    if core[-1] != "." or core.endswith(".."):
        return True
    stem = core.lstrip(_OPENING)[:-1]
    if begins and (stem.isdigit() or len(stem) == 1):
        return False  # the number of an item: "1. Wash"
    if stem.casefold() in _TITLES:
        return False
    if stem.casefold() in _BEFORE_NUMBERS:
        return not re.match(r"\d|(?!I\b)[IVXLC]+\b", begin)
    if _INITIALS.fullmatch(stem):
        return stem == "I"  # "It was I. Then"; but R. Walton, U.S. Navy
    return True

"""Word 3-grams of many texts at once, as numbers: what texts are compared by."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import islice

import numpy as np

TEXTS = 1024
"""Texts that are looked at together: fewer than the upper 11 bits of a key can number."""
_HASH_BITS = 53
_HASH = np.uint64((1 << _HASH_BITS) - 1)
_SHIFT = np.uint64(_HASH_BITS)
_CODES = 0x110000
_CHARACTERS = 2**18
"""Of so many at a time the words are found: what fits into the caches of a processor."""

# Scripts without spaces: each character counts as a word.
_SINGLE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0002ffff"
_APART, _INSIDE, _ALONE = 0, 1, 2
"""A character between words, one of a word with others, and one that is a word."""
_ODD = tuple(
    np.uint64(n)
    for n in (
        *(0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB),
        *(0xD6E8FEB86659FD93, 0xA0761D6478BD642F),
    )
)


Table = Callable[[int], np.ndarray]
"""Number of codes -> the kind of each character of these codes."""


@dataclass(frozen=True)
class Shingles:
    """The sets of word 3-grams of up to TEXTS texts. A shorter text is one shingle; one without a
    word is parted at its spaces, and a blank one has none.

    A shingle is a hash of 53 bits. Two texts of 10,000 words have two different shingles with one
    hash once in 10^7 pairs.
    """

    keys: np.ndarray
    """uint64 [shingles], ascending: the number of the text above the hash of the shingle."""
    count: int
    """Number of texts."""

    @cached_property
    def starts(self) -> np.ndarray:
        """int64 [texts + 1]: where the keys of each text begin."""
        return np.searchsorted(self.keys, np.arange(self.count + 1, dtype=np.uint64) << _SHIFT)

    @property
    def sizes(self) -> np.ndarray:
        """int64 [texts]: the shingles of each."""
        return np.diff(self.starts)

    @property
    def hashes(self) -> np.ndarray:
        """uint64 [shingles]."""
        return self.keys & _HASH

    @property
    def texts(self) -> np.ndarray:
        """int64 [shingles]: the text that each is of."""
        return (self.keys >> _SHIFT).astype(np.int64)

    def holds(self, texts: np.ndarray, hashes: np.ndarray) -> np.ndarray:
        """bool [n]: whether a text has a shingle. texts: int64 [n]; hashes: uint64 [n]."""
        wanted = (texts.astype(np.uint64) << _SHIFT) | hashes
        places = np.searchsorted(self.keys, wanted)
        places[places == len(self.keys)] = 0
        return self.keys[places] == wanted if len(self.keys) else np.zeros(len(wanted), bool)


def in_batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts to be looked at together."""
    remaining = iter(texts)
    while batch := list(islice(remaining, TEXTS)):
        yield batch


def shingles(texts: Sequence[str]) -> Shingles:
    """Of at most TEXTS texts."""
    if len(texts) > TEXTS:
        raise ValueError(f"{len(texts)} texts at once; {TEXTS} are the most")
    keys, sizes = _keys(texts, np.arange(len(texts)), _words_apart)
    if not sizes.all():
        without = np.flatnonzero(sizes == 0)
        others, _ = _keys([texts[i] for i in without], without, _between_spaces)
        keys = np.sort(np.concatenate([keys, others]))
    is_first = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
    return Shingles(keys[is_first], len(texts))


def _keys(
    texts: Sequence[str], numbers: np.ndarray, table_of: Table
) -> tuple[np.ndarray, np.ndarray]:
    """The keys of all shingles, ascending, and how many words each text has."""
    words, places = _words("\n".join(texts), table_of)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    ends = np.searchsorted(places, np.cumsum(lengths))
    begins = np.concatenate([[0], ends[:-1]])
    sizes = ends - begins
    counts = np.where(sizes > 2, sizes - 2, np.minimum(sizes, 1))
    texts_of = np.repeat(np.arange(len(texts)), counts)
    begins_at = np.arange(len(texts_of)) + np.repeat(begins - np.cumsum(counts) + counts, counts)
    words = np.concatenate([words, np.zeros(2, np.uint64)])
    second, third = words[begins_at + 1], words[begins_at + 2]
    second[sizes[texts_of] < 2] = 0
    third[sizes[texts_of] < 3] = 0
    hashes = _mixed(words[begins_at] * _ODD[0] + second * _ODD[1] + third * _ODD[2]) & _HASH
    return np.sort((numbers[texts_of].astype(np.uint64) << _SHIFT) | hashes), sizes


def _words(text: str, table_of: Table) -> tuple[np.ndarray, np.ndarray]:
    """uint64 [words]: the hash of each word of a text, and int64 [words]: where it begins."""
    hashes, places = [np.array([], np.uint64)], [np.array([], np.int64)]
    start = 0
    while start < len(text):
        part = _part(text, start)
        codes, kinds = _characters(part, table_of)
        is_inside = kinds == _INSIDE
        is_alone = kinds == _ALONE
        begins = is_inside.copy()
        begins[1:] &= ~is_inside[:-1]
        ends = is_inside
        ends[:-1] &= ~is_inside[1:]
        word_starts, word_ends = np.flatnonzero(begins | is_alone), np.flatnonzero(ends | is_alone)
        # Each word is a polynomial of its characters, taken out of that of all of them.
        powers, inverses = _powers(len(codes))
        totals = np.cumsum(codes * powers, dtype=np.uint64)
        before = totals[word_starts - 1]
        before[:1] *= np.uint64(len(word_starts) == 0 or word_starts[0] > 0)
        hashes.append(_mixed((totals[word_ends] - before) * inverses[word_starts]))
        places.append(word_starts + start)
        start += len(part)
    return np.concatenate(hashes), np.concatenate(places)


def _characters(text: str, table_of: Table) -> tuple[np.ndarray, np.ndarray]:
    """uint8 or uint32 [characters]: the code of each character of a text; int8: its kind."""
    if text.isascii():
        encoded = text.encode()
        kinds = np.frombuffer(encoded.translate(table_of(256).tobytes()), np.int8)
        return np.frombuffer(encoded, np.uint8), kinds
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return codes, table_of(_CODES)[codes]


def _powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """uint64 [count]: powers of an odd number, and their inverses modulo 2^64."""
    size = max(_CHARACTERS, 1 << (count - 1).bit_length())
    powers, inverses = _all_powers(size)
    return powers[:count], inverses[:count]


@lru_cache(maxsize=1)
def _all_powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    base = int(_ODD[3])
    return tuple(
        np.cumprod(np.full(count, number, np.uint64), dtype=np.uint64)
        for number in (base, pow(base, -1, 1 << 64))
    )


def _part(text: str, start: int) -> str:
    """About _CHARACTERS of a text, up to a space."""
    stop = start + _CHARACTERS
    if stop >= len(text):
        return text[start:]
    space = text.rfind(" ", start, stop)
    if space < start:
        space = text.find(" ", stop)
    return text[start : space + 1] if space >= 0 else text[start:]


def _mixed(values: np.ndarray) -> np.ndarray:
    """Each number as another one, of which all bits depend on all of it; in place."""
    values ^= values >> np.uint64(32)
    values *= _ODD[4]
    values ^= values >> np.uint64(29)
    values *= _ODD[2]
    values ^= values >> np.uint64(32)
    return values


def _words_apart(codes: int) -> np.ndarray:
    """int8 [codes]: the kind of each character, by its code."""
    return _table(rf"[{_SINGLE}]+", rf"[^\W{_SINGLE}]+", codes)


def _between_spaces(codes: int) -> np.ndarray:
    """The same, where words are what stands between spaces."""
    return _table(r"(?!)", r"\S+", codes)


@cache
def _table(alone: str, inside: str, codes: int) -> np.ndarray:
    characters = "".join(map(chr, range(codes)))
    kinds = np.full(codes, _APART, dtype=np.int8)
    for kind, pattern in ((_INSIDE, inside), (_ALONE, alone)):
        for run in re.finditer(pattern, characters):
            kinds[run.start() : run.end()] = kind
    return kinds

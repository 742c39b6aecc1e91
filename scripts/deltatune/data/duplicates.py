"""Texts that repeat others: the same, or nearly the same."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import ceil
from zlib import crc32

import numpy as np
import pandas as pd

# Scripts without spaces: each character counts as a word.
_CHARACTERS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0002ffff"
_WORD = re.compile(rf"[{_CHARACTERS}]|[^\W{_CHARACTERS}]+")


def comparable_texts(records: pd.DataFrame, fields: Sequence[str]) -> list[str]:
    """Each record's text for comparison: fields normalized, joined by a character of their own."""
    columns = [records[field].tolist() for field in fields]
    return [
        "\x1f".join(_normalize(value) if isinstance(value, str) else "" for value in values)
        for values in zip(*columns, strict=True)
    ]


def _normalize(text: str) -> str:
    """NFKC, case folded, white space single: texts that differ only in this are the same."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def repeated(texts: Sequence[str]) -> dict[int, int]:
    """Position -> position of the first equal text, for each text that stood there before."""
    seen: dict[bytes, int] = {}
    repeats = {}
    for i, text in enumerate(texts):
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        original = seen.setdefault(key, i)
        if original != i:
            repeats[i] = original
    return repeats


def _shingles(text: str) -> frozenset[str]:
    """The set of word 3-grams; shorter texts are one shingle, texts without a word none."""
    words = _WORD.findall(text) or text.split()
    if not words:
        return frozenset()
    return frozenset(" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2)))


def near_duplicates(
    texts: list[str], train: np.ndarray, validation: np.ndarray, test: np.ndarray, threshold: float
) -> dict[int, tuple[str, int]]:
    """Position in validation or test -> (split, position) of the first text that it repeats.

    Every pair at or above the threshold t is found, by prefix and position (Xiao, Wang, Lin, Yu,
    Efficient Similarity Joins for Near Duplicate Detection, WWW 2008). Sets of n and m shingles
    with a Jaccard similarity of t share at least o = t / (1 + t) * (n + m) of them; so with all
    shingles in one order, rarest first, they share one among the first n - o + 1 of the one and
    the first m - o + 1 of the other. What a template repeats in every record comes last in that
    order and proposes no pair, where MinHash would propose nearly all of them.

    Only the held-out texts are indexed, and the training texts are looked up one by one, so memory
    grows with the smaller part.
    """
    among, only_test = {*validation.tolist(), *test.tolist()}, set(test.tolist())
    index = _Index(texts, [*validation.tolist(), *test.tolist()], threshold)
    repeats: dict[int, tuple[str, int]] = {}
    for position in train.tolist():
        repeats |= dict.fromkeys(index.taken(position, among), ("training", position))
    for position in validation.tolist():
        if position not in repeats:
            repeats |= dict.fromkeys(index.taken(position, only_test), ("validation", position))
    return repeats


class _Index:
    """The held-out texts by their rarest shingles, see `near_duplicates`."""

    def __init__(self, texts: list[str], held_out: list[int], threshold: float) -> None:
        self._threshold = threshold
        self._shingles = lru_cache(maxsize=4096)(lambda position: _shingles(texts[position]))
        self._frequency = Counter(checksum for i in held_out for _, checksum in self._checksums(i))
        # checksum -> size of the text -> {position: rank of the shingle in it}, by rank.
        self._ranks: dict[int, dict[int, dict[int, int]]] = {}
        entries = []
        for position in held_out:
            grams, size = self._rarest(position)
            entries += [(rank, position, checksum, size) for rank, checksum in enumerate(grams)]
        for rank, position, checksum, size in sorted(entries):
            self._ranks.setdefault(checksum, {}).setdefault(size, {})[position] = rank

    def _checksums(self, position: int) -> list[tuple[str, int]]:
        """A checksum stands for a shingle in the index; two with the same one only cost a
        comparison."""
        return [(gram, _checksum(gram)) for gram in self._shingles(position)]

    def _rarest(self, position: int) -> tuple[list[int], int]:
        """The shingles that any similar text can be found by, and the number of all."""
        grams = sorted((self._frequency[c], c, gram) for gram, c in self._checksums(position))
        prefix = len(grams) - round_up(self._threshold * len(grams)) + 1
        return [checksum for _, checksum, _ in grams[:prefix]], len(grams)

    def taken(self, position: int, among: set[int]) -> list[int]:
        """Take out of the index, and return, the positions that repeat this one."""
        proposed = set()
        grams, n = self._rarest(position)
        for rank, checksum in enumerate(grams):
            for m, others in self._ranks.get(checksum, {}).items():
                overlap = round_up(self._threshold / (1 + self._threshold) * (n + m))
                if rank > n - overlap or overlap > m:
                    continue
                for other, other_rank in others.items():
                    if other_rank > m - overlap:
                        break
                    if other in among:
                        proposed.add(other)
        own = self._shingles(position)
        repeats = [i for i in proposed if similar(own, self._shingles(i), self._threshold)]
        for other in repeats:
            grams, m = self._rarest(other)
            for checksum in grams:
                self._ranks[checksum][m].pop(other, None)
        return repeats


# Of shorter texts, single phrases, chance alone finds most in some long text.
_LEAST = 5
"""Shingles (7 words) of a text that is looked for in others."""
_COUNTERS = 2**20
_HITS = 3


def contained(
    texts: list[str], others: Iterable[str], sample: Iterable[str], share: float
) -> set[int]:
    """Positions of the texts whose shingles stand, to a share, in one of the others: short in long.

    Found like near duplicates: of the n shingles of a text, rarest first, k of the first
    n - share * n + k stand in every text that contains it. Only those are indexed, and the others
    are read once; with `_HITS` as k a common phrase alone proposes no pair. sample: some of the
    others, which with the texts decide what is rare; the result does not depend on it. Texts of
    fewer than `_LEAST` shingles are not looked for.
    """
    frequency = np.zeros(_COUNTERS, dtype=np.int64)
    for text in (*texts, *sample):
        for gram in _shingles(text):
            frequency[_checksum(gram) % _COUNTERS] += 1

    @lru_cache(maxsize=4096)
    def shingles(position: int) -> frozenset[str]:
        return _shingles(texts[position])

    index: dict[int, list[int]] = {}
    hits_needed = [0] * len(texts)
    for position in range(len(texts)):
        checksums = [_checksum(gram) for gram in shingles(position)]
        if len(checksums) >= _LEAST:
            least = round_up(share * len(checksums))
            hits_needed[position] = min(_HITS, least)
            prefix = len(checksums) - least + hits_needed[position]
            for checksum in sorted(checksums, key=lambda c: (frequency[c % _COUNTERS], c))[:prefix]:
                index.setdefault(checksum, []).append(position)

    inside: set[int] = set()
    for other in others if index else ():
        grams = _shingles(other)
        hits: dict[int, int] = {}
        for gram in grams:
            for position in index.get(_checksum(gram), ()):
                hits[position] = hits.get(position, 0) + 1
        for position, count in hits.items():
            if count < hits_needed[position] or position in inside:
                continue
            own = shingles(position)
            if len(own & grams) >= round_up(share * len(own)):
                inside.add(position)
    return inside


def _checksum(shingle: str) -> int:
    return crc32(shingle.encode("utf-8", "surrogatepass"))


def round_up(value: float) -> int:
    """The smallest whole number that is not below a value, give or take its rounding error."""
    return ceil(value - 1e-9)


def similar(a: frozenset[str], b: frozenset[str], threshold: float) -> bool:
    """Whether |a ∩ b| / |a ∪ b| reaches the threshold (Jaccard)."""
    shared = len(a & b)
    return shared >= round_up(threshold * (len(a) + len(b) - shared))

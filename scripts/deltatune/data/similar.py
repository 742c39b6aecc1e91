"""Texts found by their rarest shingles: which of many may be similar to a text, and how many
shingles they share.

All shingles stand in one order, by how many texts have them: rarest first. Whoever looks for texts
that share so many shingles with another says how many of the first ones suffice to find them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from deltatune.data.shingles import TEXTS, Shingles, in_batches, shingles

_COUNTERS = 2**22
"""Shingles are counted by so many values of their hashes: of memory that does not grow."""
_PAIRS = 2**20
"""Pairs of texts, or shingles of pairs, that are looked at together."""
_SKETCH = 4
"""Words of 64 bits of a sketch."""


@dataclass(frozen=True)
class Entries:
    """Shingles of texts, text by text, the rarest of each first."""

    texts: np.ndarray
    """int64 [entries]: the number of the text."""
    ranks: np.ndarray
    """int64 [entries]: the place of the shingle in the order of its text, from 0."""
    hashes: np.ndarray
    """uint64 [entries]."""


@dataclass(frozen=True)
class Pairs:
    """Texts that were looked up and texts of the index that have a shingle in common, by the
    first; each pair as often as they have one."""

    texts: np.ndarray
    """int64 [pairs]: the number of the text that was looked up."""
    ranks: np.ndarray
    others: np.ndarray
    """int64 [pairs]: the number of the text in the index."""
    other_ranks: np.ndarray

    def chosen(self, chosen: np.ndarray) -> Pairs:
        """Some of them, by bool [pairs] or int64 [n]."""
        return Pairs(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def once(self) -> Pairs:
        """Each pair once."""
        keys = self.texts << np.int64(40) | self.others
        return self.chosen(np.unique(keys, return_index=True)[1])


class Index:
    """Texts by their rarest shingles.

    Of a shingle that many texts have, each that is looked up yields many pairs: `drop` the texts
    that are found, so that what a million records repeat is not compared a million times.
    """

    def __init__(
        self,
        texts: Sequence[str],
        positions: np.ndarray,
        prefix: Callable[[np.ndarray], np.ndarray],
        union: np.ufunc,
        sample: Iterable[str] = (),
    ) -> None:
        """positions: of the texts that are indexed, which are numbered in this order. prefix: sizes
        -> so many of the first shingles of a text find it; 0: it is not looked for. union: of the
        bits of a sketch, see `sketches`. sample: other texts, which count for what is rare."""
        self._texts, self._positions, self._prefix = texts, positions, prefix
        self._frequency = np.zeros(_COUNTERS, dtype=np.int32)
        for batch in in_batches(sample):
            self._count(shingles(batch))
        for _, own in self._batches():
            self._count(own)
        self.sizes = np.zeros(len(positions), dtype=np.int64)
        self.sketches = np.zeros((len(positions), _SKETCH), dtype=np.uint64)
        parts = []
        for start, own in self._batches():
            stop = start + own.count
            self.sizes[start:stop] = own.sizes
            self.sketches[start:stop] = sketches(own, union)
            rarest = self.rarest(own)
            parts.append((rarest.hashes, rarest.texts + start, rarest.ranks.astype(np.int32)))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        hashes, numbers, ranks = columns or [np.array([], t) for t in (np.uint64, int, np.int32)]
        order = np.argsort(hashes, kind="stable")
        self._fill(hashes[order], numbers[order].astype(np.int32), ranks[order])
        self._is_in = np.ones(len(positions), dtype=bool)
        self._wasted = 0

    def _batches(self) -> Iterator[tuple[int, Shingles]]:
        for start in range(0, len(self._positions), TEXTS):
            yield start, shingles(self._of(np.arange(start, start + TEXTS)))

    def _of(self, numbers: np.ndarray) -> list[str]:
        positions = self._positions[numbers[numbers < len(self._positions)]]
        return [self._texts[i] for i in positions.tolist()]

    def _count(self, own: Shingles) -> None:
        np.add.at(self._frequency, _counters(own.hashes), 1)

    def _fill(self, hashes: np.ndarray, numbers: np.ndarray, ranks: np.ndarray) -> None:
        """By the hash; each hash once, and where its texts begin."""
        self._hashes, starts = np.unique(hashes, return_index=True)
        self._starts = np.append(starts, len(hashes))
        self._numbers, self._ranks = numbers, ranks
        self._counters = np.zeros(_COUNTERS, dtype=bool)
        self._counters[_counters(self._hashes)] = True

    def rarest(self, own: Shingles) -> Entries:
        """The first shingles of each text, as many as `prefix` says."""
        frequency = self._frequency[_counters(own.hashes)].astype(np.int64)
        order = np.argsort(own.texts << np.int64(32) | frequency, kind="stable")
        ranks = np.arange(len(order)) - np.repeat(own.starts[:-1], own.sizes)
        is_first = ranks < np.repeat(self._prefix(own.sizes), own.sizes)
        chosen = order[is_first]
        return Entries(own.texts[chosen], ranks[is_first], own.hashes[chosen])

    @staticmethod
    def all_of(own: Shingles) -> Entries:
        """All shingles of each text, in the order of their hashes."""
        return Entries(own.texts, np.zeros(len(own.keys), np.int64), own.hashes)

    def pairs(self, entries: Entries) -> Iterator[Pairs]:
        """What is in the index, in the order of the entries, up to about _PAIRS at a time."""
        there = np.flatnonzero(self._counters[_counters(entries.hashes)])
        while len(there) and len(self._hashes):
            hashes = entries.hashes[there]
            places = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
            is_there = self._hashes[places] == hashes
            there, places = there[is_there], places[is_there]
            counts = self._starts[places + 1] - self._starts[places]
            some = max(1, int(np.searchsorted(np.cumsum(counts), _PAIRS, side="right")))
            now, counts, places = there[:some], counts[:some], places[:some]
            there = there[some:]
            of = np.repeat(now, counts)
            rows = np.arange(len(of)) + np.repeat(
                self._starts[places] - np.cumsum(counts) + counts, counts
            )
            is_in = self._is_in[self._numbers[rows]]
            rows, of = rows[is_in], of[is_in]
            self._wasted += len(is_in) - len(rows)
            yield Pairs(
                entries.texts[of],
                entries.ranks[of],
                self._numbers[rows].astype(np.int64),
                self._ranks[rows].astype(np.int64),
            )

    def drop(self, numbers: np.ndarray) -> None:
        """These texts are not looked for any more."""
        self._is_in[numbers] = False
        if self._wasted > len(self._numbers):
            # As much was passed over as there is.
            kept = self._is_in[self._numbers]
            hashes = np.repeat(self._hashes, np.diff(self._starts))[kept]
            self._fill(hashes, self._numbers[kept], self._ranks[kept])
            self._wasted = 0

    def shared(self, own: Shingles, texts: np.ndarray, others: np.ndarray) -> np.ndarray:
        """int64 [pairs]: how many shingles each pair shares. own, texts: of those that were looked
        up, and their numbers; others: numbers in the index."""
        counts = np.zeros(len(texts), dtype=np.int64)
        numbers, places = np.unique(others, return_inverse=True)
        by_place = np.argsort(places, kind="stable")
        for start in range(0, len(numbers), TEXTS):
            theirs = shingles(self._of(numbers[start : start + TEXTS]))
            limits = np.searchsorted(places[by_place], [start, start + TEXTS])
            of_these = by_place[slice(*limits)]
            sizes = theirs.sizes[places[of_these] - start]
            cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // _PAIRS)) + 1
            for part in np.split(of_these, cuts):
                sizes = theirs.sizes[places[part] - start]
                starts = theirs.starts[places[part] - start]
                pair = np.repeat(np.arange(len(part)), sizes)
                rows = np.arange(len(pair)) + np.repeat(starts - np.cumsum(sizes) + sizes, sizes)
                is_shared = own.holds(texts[part][pair], theirs.hashes[rows])
                counts[part] = np.bincount(pair[is_shared], minlength=len(part))
        return counts


def sketches(own: Shingles, union: np.ufunc) -> np.ndarray:
    """uint64 [texts, _SKETCH]: a bit for each value of a part of the hashes.

    union: np.bitwise_xor, and two texts differ in as many shingles as bits or in more; or
    np.bitwise_or, and of one text at least as many shingles are not in the other as bits.
    """
    hashes, sizes = own.hashes, own.sizes
    bits = np.uint64(1) << (hashes & np.uint64(63))
    words = (hashes >> np.uint64(6)) % np.uint64(_SKETCH)
    result = np.zeros((own.count, _SKETCH), dtype=np.uint64)
    has_some = sizes > 0
    starts = own.starts[:-1][has_some]
    for word in range(_SKETCH if len(hashes) else 0):
        result[has_some, word] = union.reduceat(np.where(words == word, bits, 0), starts)
    return result


def set_bits(sketches: np.ndarray) -> np.ndarray:
    """int64 [n]: the number of set bits of each."""
    return np.bitwise_count(sketches).sum(axis=1, dtype=np.int64)


def _counters(hashes: np.ndarray) -> np.ndarray:
    return (hashes % np.uint64(_COUNTERS)).astype(np.int64)

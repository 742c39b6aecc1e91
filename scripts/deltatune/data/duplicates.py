"""Texts that repeat others: the same, or nearly the same."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from math import ceil

import numpy as np
import pandas as pd

from deltatune.data.records import BATCH
from deltatune.data.shingles import TEXTS, in_batches, shingles
from deltatune.data.similar import Index, set_bits, sketches


def comparable_texts(records: pd.DataFrame, fields: Sequence[str]) -> Iterator[str]:
    """Each record's text for comparison: fields normalized, joined by a character of their own."""
    for start in range(0, len(records), BATCH):
        columns = [records[field].iloc[start : start + BATCH].tolist() for field in fields]
        for values in zip(*columns, strict=True):
            yield "\x1f".join(_normalize(v) if isinstance(v, str) else "" for v in values)


def _normalize(text: str) -> str:
    """NFKC, case folded, white space single: texts that differ only in this are the same."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def repeated(texts: Iterable[str]) -> dict[int, int]:
    """Position -> position of the first equal text, for each text that stood there before."""
    return same_as_before(digests(texts))


def same_as_before(rows: np.ndarray) -> dict[int, int]:
    """Position -> position of the first equal one, of each row that stood there before. rows:
    uint64 [rows, 2]."""
    order = np.lexsort(rows.T)
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (rows[order[1:]] != rows[order[:-1]]).any(axis=1)
    # Equal rows follow each other in their order.
    originals = order[np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))]
    pairs = zip(order[~is_first].tolist(), originals[~is_first].tolist(), strict=True)
    return dict(sorted(pairs))


def digests(texts: Iterable[str]) -> np.ndarray:
    """uint64 [texts, 2]: the same for equal texts alone."""
    whole = bytearray()
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        whole += hashlib.blake2b(encoded, digest_size=16).digest()
    return np.frombuffer(whole, np.uint64).reshape(-1, 2)


def near_duplicates(
    texts: Sequence[str],
    train: np.ndarray,
    validation: np.ndarray,
    test: np.ndarray,
    threshold: float,
) -> dict[int, tuple[str, int]]:
    """Position in validation or test -> (split, position) of the first text that it repeats.

    Every pair at or above the threshold t is found, by prefix and position (Xiao, Wang, Lin, Yu,
    Efficient Similarity Joins for Near Duplicate Detection, WWW 2008). Sets of n and m shingles
    with a Jaccard similarity of t share at least o = t / (1 + t) * (n + m) of them; so with all
    shingles in one order, rarest first, they share one among the first n - o + 1 of the one and
    the first m - o + 1 of the other. What a template repeats in every record comes last in that
    order and proposes no pair, where MinHash would propose nearly all of them. Sketches of both
    then tell most pairs that share too few.

    Only the held-out texts are indexed, and the training texts are looked up in batches, so memory
    grows with the smaller part.
    """
    held_out = np.concatenate([validation, test]).astype(np.int64)
    index = Index(texts, held_out, lambda n: n - _rounded_up(threshold * n) + 1, np.bitwise_xor)
    repeats: dict[int, tuple[str, int]] = {}

    def look_up(split: str, positions: np.ndarray) -> None:
        for start in range(0, len(positions), TEXTS):
            batch = positions[start : start + TEXTS].tolist()
            for text, other in _similar([texts[i] for i in batch], index, threshold):
                repeats[int(held_out[other])] = (split, batch[text])

    look_up("training", train)
    index.drop(np.arange(len(validation)))
    look_up("validation", np.array([i for i in validation.tolist() if i not in repeats], np.int64))
    return repeats


def _similar(texts: list[str], index: Index, threshold: float) -> Iterator[tuple[int, int]]:
    """(number of a text, number in the index) of the first text that each one there is similar to,
    which is then taken out of it."""
    own = shingles(texts)
    bits = sketches(own, np.bitwise_xor)
    for pairs in index.pairs(index.rarest(own)):
        n, m = own.sizes[pairs.texts], index.sizes[pairs.others]
        least = _rounded_up(threshold / (1 + threshold) * (n + m))
        fits = (pairs.ranks <= n - least) & (pairs.other_ranks <= m - least)
        pairs, n, m, least = pairs.chosen(fits), n[fits], m[fits], least[fits]
        unlike = set_bits(bits[pairs.texts] ^ index.sketches[pairs.others])
        pairs = pairs.chosen(unlike <= n + m - 2 * least).once()
        common = index.shared(own, pairs.texts, pairs.others)
        union = own.sizes[pairs.texts] + index.sizes[pairs.others] - common
        pairs = pairs.chosen(common >= _rounded_up(threshold * union))
        others, places = np.unique(pairs.others, return_index=True)
        yield from zip(pairs.texts[places].tolist(), others.tolist(), strict=True)
        index.drop(others)


# Of shorter texts, single phrases, chance alone finds most in some long text.
_LEAST = 5
"""Shingles (7 words) of a text that is looked for in others."""


def contained(
    texts: Sequence[str], others: Iterable[str], sample: Iterable[str], share: float
) -> set[int]:
    """Positions of the texts whose shingles stand, to a share, in one of the others: short in long.

    Found like near duplicates: of the n shingles of a text, rarest first, one of the first
    n - share * n + 1 stands in every text that contains it. Only those are indexed, and the others
    are read once. sample: some of the others, which with the texts decide what is rare; the result
    does not depend on it. Texts of fewer than `_LEAST` shingles are not looked for.
    """

    def prefix(sizes: np.ndarray) -> np.ndarray:
        return np.where(sizes < _LEAST, 0, sizes - _rounded_up(share * sizes) + 1)

    index = Index(texts, np.arange(len(texts)), prefix, np.bitwise_or, sample)
    least = _rounded_up(share * index.sizes)
    inside: set[int] = set()
    for batch in in_batches(others):
        own = shingles(batch)
        bits = sketches(own, np.bitwise_or)
        for pairs in index.pairs(index.all_of(own)):
            pairs = pairs.once()
            lacking = set_bits(index.sketches[pairs.others] & ~bits[pairs.texts])
            pairs = pairs.chosen(lacking <= (index.sizes - least)[pairs.others])
            common = index.shared(own, pairs.texts, pairs.others)
            contained_now = pairs.others[common >= least[pairs.others]]
            inside.update(contained_now.tolist())
            index.drop(contained_now)
    return inside


def round_up(value: float) -> int:
    """The smallest whole number that is not below a value, give or take its rounding error."""
    return ceil(value - 1e-9)


def _rounded_up(values: np.ndarray) -> np.ndarray:
    """int64 [n]: `round_up` of each."""
    return np.ceil(values - 1e-9).astype(np.int64)

"""Splitting long texts into pieces that fill their rows."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from deltatune.tokens.packing import ENOUGH, best_fit, pack_rows

# Shortest gap that a text is cut for, as a part of the row: a wide one where that is enough.
_LEAST = (4, 8, 16, 32, 64)
# Lengths of a row that are tried where rows of the full length leave too much empty.
_LIMITS = 6


def cut_texts(lengths: Sequence[int], maximum: int, overhead: int) -> list[list[int]]:
    """For each text the lengths of its pieces, in order: at most `maximum` tokens each.

    lengths: tokens of each text. overhead: how many of them are a beginning (bos) that every
    piece repeats, so that the pieces of one text sum to its length and `overhead` for each cut.
    The last piece of a text has two tokens or more beside the overhead: the end of the text alone
    would train a model to end at once.

    Texts that fit stay whole if little of the rows is then padding (2%). If not, some of them
    are cut too, to fill what others leave of their rows; and if that is not enough, because long
    texts fix the length of the rows and the last of a few is nearly empty, all is cut for rows a
    little shorter.
    """
    best = [_plain(length, maximum, overhead) for length in lengths]
    if not best:
        return best
    padded, rows = _padding(best, maximum)
    tight = -(-sum(map(sum, best)) // rows)
    step = max(1, (maximum - tight) // _LIMITS)
    for limit in (maximum, *range(max(tight, overhead + 2), maximum, step)):
        plain = [_plain(length, limit, overhead) for length in lengths]
        for part in (None, *_LEAST):
            if padded <= ENOUGH:
                return best
            tried = _filled(plain, limit, overhead, limit // part) if part else plain
            share, _ = _padding(tried, limit)
            if share < padded:
                best, padded = tried, share
    return best


def _plain(length: int, limit: int, overhead: int) -> list[int]:
    """Pieces of `limit` tokens and a remainder, of one text."""
    room = limit - overhead
    cuts = list(range(0, length - overhead, room))
    if length - overhead - cuts[-1] == 1 and len(cuts) > 1:
        cuts[-1] -= 1
    ends = [*cuts[1:], length - overhead]
    return [end - start + overhead for start, end in zip(cuts, ends, strict=True)]


def _padding(pieces: list[list[int]], limit: int) -> tuple[float, int]:
    """Share of padding, and how many rows."""
    lengths = [size for sizes in pieces for size in sizes]
    rows, length = pack_rows(lengths, limit)
    return 1 - sum(lengths) / (len(rows) * length), len(rows)


def _filled(plain: list[list[int]], limit: int, overhead: int, least: int) -> list[list[int]]:
    """The pieces of `plain`, some of them cut again to fill gaps."""
    numbered = [(text, size) for text, sizes in enumerate(plain) for size in sizes]
    cuts = _fill_gaps([size for _, size in numbered], limit, overhead, least)
    filled: list[list[int]] = [[] for _ in plain]
    for piece, (text, size) in enumerate(numbered):
        filled[text] += cuts.get(piece, [size])
    return filled


def _fill_gaps(
    lengths: Sequence[int], maximum: int, overhead: int, least: int
) -> dict[int, list[int]]:
    """Which documents to cut, and where, so that the pieces fill what others leave of their rows.

    The emptiest rows of best fit are dissolved, as many as the gaps of the other rows can hold,
    and their documents cut to the size of these gaps, the widest first. That keeps most documents
    whole, where cutting at the end of each row would break nearly all.

    lengths: tokens of each document, `overhead` of them a beginning that every piece repeats.
    least: shortest gap, in tokens, that is worth a piece. Returns {document: lengths of its pieces
    in order, each with the overhead}; the last piece has two tokens or more beside it. Documents
    that fit into a gap as they are, or stay in their rows, are not in it.
    """
    rows = best_fit(lengths, maximum)
    load = [sum(lengths[document] for document in row) for row in rows]
    order = sorted(range(len(rows)), key=lambda row: (load[row], row))
    gaps = [maximum - load[row] for row in order]
    room = sum(gap - overhead for gap in gaps if gap - overhead >= least)
    need, most = 0, 0
    for row, gap in zip(order, gaps, strict=True):
        need += load[row] - overhead * len(rows[row])
        room -= gap - overhead if gap - overhead >= least else 0
        if need > room:
            break
        most += 1
    while most:
        documents = [document for row in order[:most] for document in rows[row]]
        pieces = _cut([lengths[d] - overhead for d in documents], gaps[most:], overhead, least)
        if pieces is not None:
            return {d: p for d, p in zip(documents, pieces, strict=True) if len(p) > 1}
        most -= max(1, most // 100)  # the gaps hold less than their sum; 1% at a time
    return {}


def _cut(sizes: list[int], gaps: list[int], overhead: int, least: int) -> list[list[int]] | None:
    """Pieces of each document, put into the widest gap that is left; None if not all fit."""
    least = max(least, 2)
    widest = [overhead - gap for gap in gaps if gap - overhead >= least]  # negative: a max-heap
    heapify(widest)
    cut = []
    for left in sizes:
        pieces = []
        while left:
            if not widest:
                return None
            width = -heappop(widest)
            size = min(left, width)
            if left - size == 1:
                size -= 1
            if width - size - overhead >= least:
                heappush(widest, size + overhead - width)
            pieces.append(size + overhead)
            left -= size
        cut.append(pieces)
    return cut

"""Sequence packing: which documents share a row, so that little of it is padding."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

import numpy as np

# Share of padding that is good enough. Up to here fewer and longer rows win over less padding, so
# that a step of the optimizer has about as many tokens as the settings ask for.
ENOUGH = 0.02
# Up to so many documents the search is exhaustive; of more, a sample of so many gives the length.
_FEW = 300
# Documents that are candidates for one row. Their subsets nearly always fill it to the last token.
_CHOICE = 128
# Rows that are filled in the search for the best length: about a second of work.
_EFFORT = 30_000


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Documents in rows of at most `capacity` tokens: best fit, longest first.

    Each document goes to the fullest row that still has room for it, and any two rows together
    hold more than one capacity. The capacities that are left in open rows are kept in a sorted
    list of distinct values, at most `capacity` of them, so n documents cost O(n log capacity)
    comparisons. Equal lengths keep their order, so the answer is always the same.

    Returns the indices of the documents of each row, in their order; rows by their first document.
    Raises ValueError if a length is below 1 or above capacity.
    """
    lengths = _checked(lengths, capacity)
    rows: list[list[int]] = []
    left: list[int] = []  # distinct free tokens of open rows, ascending
    open_rows: dict[int, list[int]] = {}  # free tokens -> rows
    values = lengths.tolist()
    for document in np.argsort(-lengths, kind="stable").tolist():
        length = values[document]
        position = bisect_left(left, length)
        if position == len(left):
            row, free = len(rows), capacity
            rows.append([])
        else:
            free = left[position]
            row = open_rows[free].pop()
            if not open_rows[free]:
                del open_rows[free], left[position]
        rows[row].append(document)
        free -= length
        if free:
            if free not in open_rows:
                insort(left, free)
                open_rows[free] = []
            open_rows[free].append(row)
    return _ordered(rows)


def _row_count(lengths: np.ndarray, counts: np.ndarray, capacity: int) -> int:
    """How many rows best_fit needs for so many documents of each length, ascending."""
    rows = 0
    left: list[int] = []  # distinct free tokens of open rows, ascending
    open_rows: dict[int, int] = {}  # free tokens -> number of rows
    for length, waiting in zip(lengths[::-1].tolist(), counts[::-1].tolist(), strict=True):
        while waiting:
            position = bisect_left(left, length)
            is_new = position == len(left)
            free = capacity if is_new else left[position]
            # A row that has taken one of them is the fullest with room, and takes the next.
            each = min(free // length, waiting)
            filled = waiting // each if is_new else min(waiting // each, open_rows[free])
            waiting -= each * filled
            if is_new:
                rows += filled
            elif open_rows[free] == filled:
                del open_rows[free], left[position]
            else:
                open_rows[free] -= filled
            if rest := free - each * length:
                if rest not in open_rows:
                    insort(left, rest)
                open_rows[rest] = open_rows.get(rest, 0) + filled
    return rows


def row_length(lengths: Sequence[int], maximum: int) -> int:
    """The shortest rows in which best_fit needs no more of them than at `maximum`.

    Never below the longest document; found by bisection, which best fit's small departures from
    monotony can leave a token or two above the true minimum. 0 if there are no documents.
    """
    lengths = _checked(lengths, maximum)
    if not len(lengths):
        return 0
    by_length = np.unique(lengths, return_counts=True)
    rows = _row_count(*by_length, maximum)
    low, high = _shortest(lengths, rows), maximum
    while low < high:
        middle = (low + high) // 2
        if _row_count(*by_length, middle) <= rows:
            high = middle
        else:
            low = middle + 1
    return high


def subset_fill(lengths: Sequence[int], capacity: int, rows: int) -> list[list[int]] | None:
    """Documents in at most `rows` rows of `capacity` tokens, or None if this way finds none.

    Each row takes the longest document that is left and the subset of others that fills it best:
    the minimum bin slack of Gupta and Ho (1999), here by exact subset sums over the bits of an
    integer. Where lengths lie close together it wastes far less than best fit. A row costs at most
    128 shifts of `capacity` bits: so many candidates, spread over their lengths.

    Returns and raises what best_fit does.
    """
    lengths = _checked(lengths, capacity)
    waiting: dict[int, list[int]] = {}  # length -> documents, the earliest last
    for document in range(len(lengths) - 1, -1, -1):
        waiting.setdefault(int(lengths[document]), []).append(document)
    sizes = sorted(waiting)
    filled: list[list[int]] = []
    while sizes:
        if len(filled) == rows:
            return None
        row = [_take(waiting, sizes, sizes[-1])]
        room = capacity - int(lengths[row[0]])
        others = [
            size
            for size in reversed(sizes[: bisect_right(sizes, room)])
            for _ in range(min(len(waiting[size]), room // size))
        ]
        if len(others) > _CHOICE:
            others = [others[i * len(others) // _CHOICE] for i in range(_CHOICE)]
        within = (1 << (room + 1)) - 1
        totals = [1]  # bit s of totals[k]: some of the first k others have s tokens in sum
        for size in others:
            totals.append(totals[-1] | (totals[-1] << size) & within)
        total = totals[-1].bit_length() - 1
        for k in range(len(others) - 1, -1, -1):
            if not totals[k] >> total & 1:
                row.append(_take(waiting, sizes, others[k]))
                total -= others[k]
        filled.append(row)
    return _ordered(filled)


def pack_rows(lengths: Sequence[int], maximum: int) -> tuple[list[list[int]], int]:
    """Rows of documents, and the one length, at most `maximum`, to which all rows are padded.

    The fewest rows that were found, and they as short as possible; but more and shorter rows
    where that saves padding beyond 2%. No packing helps where documents are about half or a third
    of a row long and alike, or where one is as long as `maximum` and rows are few.

    Raises ValueError as best_fit does.
    """
    if not len(lengths):
        return [], 0
    total = int(np.sum(lengths))

    def enough(tokens: int) -> bool:
        return total >= (1 - ENOUGH) * tokens

    length = row_length(lengths, maximum)
    best = best_fit(lengths, length)
    if len(lengths) > _FEW:
        if enough(len(best) * length):
            return best, length
        spread = np.linspace(0, len(lengths) - 1, _FEW).round().astype(int)
        _, tried = pack_rows(np.sort(lengths)[spread], maximum)
        filled = subset_fill(lengths, tried, len(best) * length // tried)
        return (best, length) if filled is None else (filled, tried)

    effort = _EFFORT
    for rows in range(-(-total // maximum), len(lengths) + 1):
        if len(best) < rows and enough(len(best) * length):
            break
        for tried in range(_shortest(lengths, rows), maximum + 1):
            tokens = rows * tried
            if tokens >= len(best) * length and not (rows < len(best) and enough(tokens)):
                break
            effort -= rows
            if effort < 0:
                return best, length
            filled = subset_fill(lengths, tried, rows)
            if filled is not None:
                best, length = filled, tried
                break
    return best, length


def _take(waiting: dict[int, list[int]], sizes: list[int], size: int) -> int:
    """Remove and return the first waiting document of a size."""
    document = waiting[size].pop()
    if not waiting[size]:
        del waiting[size], sizes[bisect_left(sizes, size)]
    return document


def _shortest(lengths: Sequence[int], rows: int) -> int:
    """No shorter row can hold the longest document, or `rows` of them everything."""
    return max(int(np.max(lengths)), -(-int(np.sum(lengths)) // rows))


def _checked(lengths: Sequence[int], capacity: int) -> np.ndarray:
    lengths = np.asarray(lengths, dtype=np.int64)
    if len(lengths) and lengths.min() < 1:
        raise ValueError(f"document {int(lengths.argmin())} has no tokens")
    if len(lengths) and lengths.max() > capacity:
        raise ValueError(
            f"document {int(lengths.argmax())} has {lengths.max()} tokens, a row {capacity}"
        )
    return lengths


def _ordered(rows: list[list[int]]) -> list[list[int]]:
    return sorted(sorted(row) for row in rows)

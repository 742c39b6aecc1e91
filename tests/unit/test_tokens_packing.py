import random
import time
from math import ceil, log

import pytest
from deltatune.tokens.packing import best_fit, pack_rows, row_length, subset_fill
from hypothesis import given, settings
from hypothesis import strategies as st

CAPACITY = 40
some_lengths = st.lists(st.integers(1, CAPACITY), max_size=60)


def loads(rows, lengths):
    return [sum(lengths[document] for document in row) for row in rows]


def first_fit(lengths, capacity):
    """How many rows it takes to put each document, as it comes, where it first fits."""
    free = []
    for length in lengths:
        row = next((i for i, room in enumerate(free) if room >= length), len(free))
        if row == len(free):
            free.append(capacity)
        free[row] -= length
    return len(free)


def share_of_padding(lengths, rows, length):
    return 1 - sum(lengths) / (len(rows) * length)


def drawn(kind, count, seed):
    """Lengths in tokens as tasks have them, with a limit of 256."""
    rng = random.Random(seed)
    draw = {
        "instructions": lambda: rng.lognormvariate(log(55), 0.5),
        "short instructions": lambda: rng.lognormvariate(log(35), 0.4),
        "news": lambda: rng.gauss(60, 12),
        "one length": lambda: 61,
    }[kind]
    return [max(4, min(256, round(draw()))) for _ in range(count)]


@given(some_lengths)
def test_best_fit_keeps_each_document_once_and_no_row_overflows(lengths):
    rows = best_fit(lengths, CAPACITY)
    assert sorted(document for row in rows for document in row) == list(range(len(lengths)))
    assert all(load <= CAPACITY for load in loads(rows, lengths))


@given(some_lengths)
def test_best_fit_opens_a_row_only_when_it_must(lengths):
    # With this any two rows hold more than one capacity, so there are less than twice the minimum.
    filled = sorted(loads(best_fit(lengths, CAPACITY), lengths))
    assert len(filled) < 2 or filled[0] + filled[1] > CAPACITY


@given(st.lists(st.integers(1, CAPACITY), max_size=7))
def test_best_fit_is_within_its_bound_of_the_optimum(lengths):
    # 11/9 of the optimum and at most 6/9 of a row more (Dosa 2007, for longest first).
    def minimum(waiting, free):
        if not waiting:
            return 0
        length, rest = waiting[0], waiting[1:]
        tries = [1 + minimum(rest, (*free, CAPACITY - length))]
        for i, room in enumerate(free):
            if room >= length:
                tries.append(minimum(rest, (*free[:i], room - length, *free[i + 1 :])))
        return min(tries)

    optimum = minimum(tuple(sorted(lengths, reverse=True)), ())
    assert optimum <= len(best_fit(lengths, CAPACITY)) <= (11 * optimum + 6) / 9


def test_best_fit_takes_the_fullest_row_with_room():
    assert best_fit([6, 7, 3, 4], 10) == [[0, 3], [1, 2]]
    assert best_fit([5, 5, 5], 10) == [[0, 1], [2]]
    assert best_fit([], 10) == []


@pytest.mark.parametrize("kind", ["instructions", "short instructions", "news"])
def test_best_fit_needs_no_more_rows_than_first_fit(kind):
    for seed in range(20):
        lengths = drawn(kind, 300, seed)
        assert len(best_fit(lengths, 256)) <= first_fit(lengths, 256)


@pytest.mark.parametrize("pack", [best_fit, row_length, pack_rows])
def test_impossible_lengths_are_refused(pack):
    with pytest.raises(ValueError, match="document 1 has 11 tokens, a row 10"):
        pack([3, 11], 10)
    with pytest.raises(ValueError, match="document 0 has no tokens"):
        pack([0, 3], 10)


@given(st.lists(st.integers(1, CAPACITY), min_size=1, max_size=60))
def test_row_length_needs_no_more_rows(lengths):
    length = row_length(lengths, CAPACITY)
    rows = len(best_fit(lengths, CAPACITY))
    assert max(lengths) <= length <= CAPACITY
    assert len(best_fit(lengths, length)) <= rows
    assert rows * length >= sum(lengths)


def test_row_length_by_hand():
    assert row_length([3, 3, 3, 3], 10) == 6  # two rows of 6, where three fit in 10
    assert row_length([9, 1, 1], 10) == 9  # 9 and 2
    assert row_length([], 10) == 0


@given(some_lengths, st.integers(1, 60))
def test_subset_fill_keeps_its_promises_or_says_so(lengths, most):
    rows = subset_fill(lengths, CAPACITY, most)
    if rows is None:
        # One document a row always works.
        assert most < len(lengths)
    else:
        assert len(rows) <= most
        assert sorted(document for row in rows for document in row) == list(range(len(lengths)))
        assert all(load <= CAPACITY for load in loads(rows, lengths))


def test_subset_fill_finds_a_fit_that_best_fit_misses():
    lengths = [4, 4, 3, 3, 3, 3]  # 4 + 3 + 3 twice
    assert len(best_fit(lengths, 10)) == 3
    assert loads(subset_fill(lengths, 10, 2), lengths) == [10, 10]


@settings(max_examples=60)
@given(some_lengths)
def test_pack_rows_never_costs_more_than_best_fit_unless_it_saves_rows(lengths):
    rows, length = pack_rows(lengths, CAPACITY)
    assert sorted(document for row in rows for document in row) == list(range(len(lengths)))
    assert all(load <= length <= CAPACITY for load in loads(rows, lengths))
    plain = best_fit(lengths, CAPACITY)
    if len(rows) < len(plain):
        assert share_of_padding(lengths, rows, length) <= 0.02 or len(rows) * length <= len(
            plain
        ) * row_length(lengths, CAPACITY)
    elif lengths:
        assert len(rows) * length <= len(plain) * row_length(lengths, CAPACITY)


@pytest.mark.parametrize("kind", ["instructions", "short instructions", "news", "one length"])
@pytest.mark.parametrize("count", [60, 300, 3000])
def test_less_than_two_per_cent_is_padding(kind, count):
    for seed in range(2 if count > 1000 else 10):
        lengths = drawn(kind, count, seed)
        rows, length = pack_rows(lengths, 256)
        # Where the longest document is as long as a row, the rows cannot be shortened, and the
        # last of a few is as full as it happens to be.
        floor = min(
            n * max(max(lengths), ceil(sum(lengths) / n))
            for n in range(ceil(sum(lengths) / 256), count + 1)
        )
        assert share_of_padding(lengths, rows, length) < max(0.02, 1 - sum(lengths) / floor + 0.005)


def test_padding_stays_small_on_average_for_small_splits():
    shares = [
        share_of_padding(lengths, *pack_rows(lengths, 256))
        for kind in ("instructions", "short instructions", "news")
        for lengths in (drawn(kind, 60, seed) for seed in range(30))
    ]
    assert sum(shares) / len(shares) < 0.01
    # Packed at the full 256, the same documents waste several times as much.
    plain = [
        share_of_padding(lengths, best_fit(lengths, 256), 256)
        for kind in ("instructions", "short instructions", "news")
        for lengths in (drawn(kind, 60, seed) for seed in range(30))
    ]
    assert sum(plain) / len(plain) > 0.03


def test_the_same_lengths_are_packed_the_same_way():
    lengths = drawn("instructions", 200, 0)
    assert pack_rows(lengths, 256) == pack_rows(list(lengths), 256)


def test_a_hundred_thousand_documents_take_seconds():
    rng = random.Random(0)
    lengths = [min(2048, int(rng.lognormvariate(5.2, 0.7)) + 2) for _ in range(100_000)]
    start = time.perf_counter()
    rows, length = pack_rows(lengths, 2048)
    assert time.perf_counter() - start < 10
    assert share_of_padding(lengths, rows, length) < 0.002

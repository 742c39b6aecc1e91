import random

import pytest
from deltatune.tokens.cutting import cut_texts
from deltatune.tokens.packing import pack_rows
from hypothesis import given, settings
from hypothesis import strategies as st


def padding(pieces, maximum):
    lengths = [size for sizes in pieces for size in sizes]
    rows, length = pack_rows(lengths, maximum)
    return 1 - sum(lengths) / (len(rows) * length)


@settings(deadline=None)
@given(
    contents=st.lists(st.integers(2, 200), max_size=40),
    maximum=st.integers(3, 64),
    overhead=st.integers(0, 1),
)
def test_pieces_hold_each_text_and_never_its_end_alone(contents, maximum, overhead):
    cut = cut_texts([content + overhead for content in contents], maximum, overhead)
    assert len(cut) == len(contents)
    for content, sizes in zip(contents, cut, strict=True):
        assert sum(size - overhead for size in sizes) == content
        assert all(overhead < size <= maximum for size in sizes)
        assert sizes[-1] >= overhead + 2


def test_a_long_text_becomes_full_pieces_and_a_rest():
    # So many short texts fill the rows that only the long one needs cutting.
    short = [5 + n % 9 for n in range(1200)]
    *rest, long = cut_texts([*short, 1 + 250], 101, 1)
    assert rest == [[length] for length in short]
    assert long == [101, 101, 51]
    # 200 tokens fill two pieces but for the end of the text, which takes one back.
    assert cut_texts([*short, 1 + 201], 101, 1)[-1] == [101, 100, 3]


def test_texts_that_pack_well_stay_whole():
    lengths = [random.Random(n).randint(20, 60) for n in range(80)]
    assert cut_texts(lengths, 256, 1) == [[length] for length in lengths]


@pytest.mark.parametrize("center", [90, 150, 200, 300])
@pytest.mark.parametrize("count", [60, 600])
def test_less_than_two_per_cent_is_padding_whatever_the_length(center, count):
    rng = random.Random(center)
    lengths = [max(8, round(rng.gauss(center, center / 8))) for _ in range(count)]
    assert padding(cut_texts(lengths, 256, 1), 256) < 0.02


def test_most_texts_stay_whole_all_the_same():
    rng = random.Random(1)
    lengths = [round(rng.gauss(200, 20)) for _ in range(600)]
    lengths = [min(length, 256) for length in lengths]
    cut = cut_texts(lengths, 256, 1)
    assert padding([[length] for length in lengths], 256) > 0.1
    assert sum(len(sizes) == 1 for sizes in cut) > 0.7 * 600


def test_no_texts():
    assert cut_texts([], 256, 1) == []

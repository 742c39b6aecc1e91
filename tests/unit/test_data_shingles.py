"""Word 3-grams as numbers, against those that a regular expression finds."""

from __future__ import annotations

import re

import numpy as np
import pytest
from deltatune.data import shingles
from hypothesis import given, settings
from hypothesis import strategies as st

SINGLE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0002ffff"
WORD = re.compile(rf"[{SINGLE}]|[^\W{SINGLE}]+")
PIECES = [
    *("a", "b", "ab", "w1", "x_y", "\u00e9", "e\u0301", "\u6f22", "\u5b57", "\u30fb", "\ud800"),
    *("!", "...", "\U0001f389", " ", " ", " ", "\x1f", "\x85", "\u00a0", "\n", "\U00020001"),
]


def plain(text: str) -> set[str]:
    words = WORD.findall(text) or text.split()
    return {" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))} if words else set()


TEXT = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(TEXT, max_size=12), characters=st.sampled_from([2, 9, 2**18]))
def test_they_are_the_same_where_the_words_are(texts, characters):
    expected = [plain(text) for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "_CHARACTERS", characters)
        made = shingles.shingles(texts)
    assert made.sizes.tolist() == [len(grams) for grams in expected]
    hashes_of = [set(part.tolist()) for part in np.split(made.hashes, made.starts[1:-1])]
    for one, its_grams in zip(hashes_of, expected, strict=len(texts) > 0):
        for other, their_grams in zip(hashes_of, expected, strict=True):
            assert len(one & other) == len(its_grams & their_grams)
    for number, hashes in enumerate(hashes_of if texts else []):
        assert made.holds(np.full(len(hashes), number), np.array([*hashes], np.uint64)).all()
        assert not made.holds(np.array([number]), np.array([1], np.uint64)).any()


def test_as_many_texts_as_a_key_can_number():
    texts = [f"one two three {i}" for i in range(shingles.TEXTS)]
    made = shingles.shingles(texts)
    assert made.sizes.tolist() == [2] * len(texts)
    assert made.texts.tolist() == [i for i in range(len(texts)) for _ in range(2)]
    with pytest.raises(ValueError, match="at once"):
        shingles.shingles([*texts, "one more"])

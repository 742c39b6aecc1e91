"""Short names: none is wider than asked, and no two are alike."""

import pytest
from deltatune.core.table_text import width
from deltatune.report import labels

SWEEP = [f"mistralai-Mistral-7B-Instruct-v0.3-rank{r}-lr{lr}" for r in (8, 16) for lr in (1, 2)]
HARD = [
    ["模型" * 20, "模型" * 20 + "二"],
    ["🦙" * 30, "🦙" * 31],
    ["מודל-" * 12 + "א", "מודל-" * 12 + "ב"],
    ["x" * 80, "x" * 40 + "y" + "x" * 40],
    ["a-", "a-b" + "c" * 40, "a"],
    ["line\nbreak \u202e" + "z" * 40, "line break " + "z" * 40],
]


def test_the_common_beginning_is_taken_off_where_names_are_too_wide():
    assert list(labels.unique(SWEEP).values()) == [
        "…rank8-lr1", "…rank8-lr2", "…rank16-lr1", "…rank16-lr2",
    ]  # fmt: skip
    assert labels.unique(["news-r8", "news-r16"]) == {"news-r8": "news-r8", "news-r16": "news-r16"}


@pytest.mark.parametrize(
    "names", [*HARD, SWEEP, [f"{'same' * 9}{n}{'same' * 9}" for n in range(24)]]
)
@pytest.mark.parametrize("limit", [10, 24])
def test_labels_fit_and_differ(names, limit):
    short = labels.unique(names, limit)
    assert list(short) == names
    assert len(set(short.values())) == len(names)
    assert all(0 < width(one) <= limit for one in short.values()), short
    assert all(one.isprintable() for one in short.values())


def test_a_text_is_cut_by_its_width():
    assert labels.shorten("日本語の名前", 7) == "日本語…"
    assert labels.shorten("e\u0301" * 7, 7) == "e\u0301" * 7
    assert labels.shorten("short", 5) == "short"

"""Splits: reproducible, disjoint, without the same text on both sides."""

import random
from collections import Counter
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltatune.core.errors import UserError
from deltatune.data import duplicates, shingles, similar
from deltatune.data.readers.read import read_records
from deltatune.data.reasons import COLUMNS, Code, Reason
from deltatune.data.splits import clean_records, split_records
from hypothesis import given, settings
from hypothesis import strategies as st

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def _frame(n, **columns):
    texts = [f"record number {i} speaks of subject {i * 7919 % 1009}" for i in range(n)]
    return pd.DataFrame({"id": range(1, n + 1), "text": texts, **columns})


def _split(records, **changes):
    options = {
        "method": "random",
        "validation": 0.1,
        "test": 0.2,
        "max_records": None,
        "seed": 0,
        "text_fields": ["text"],
        "label_field": "label" if "label" in records else None,
        "near_duplicate_threshold": None,
        "where": "tasks.news.split",
    }
    return split_records(records, **(options | changes))


def _ids(split):
    return [getattr(split, name)["id"].tolist() for name in ("train", "validation", "test")]


def _fails(records, **changes):
    with pytest.raises(UserError) as error:
        _split(records, **changes)
    message = str(error.value)
    assert message.startswith("tasks.news.split")
    return message


# ---------------------------------------------------------------- cleaning


def test_clean_records_parts_good_from_bad():
    records = pd.DataFrame(
        {"row": [3, 5, 9], "text": ["a", None, "x" * 100], "label": ["1", "2", None]}
    )
    seen = []

    def check(record):
        seen.append(record)
        if record["text"] is None:
            return Reason(Code.MISSING, "text")
        return Reason(Code.TOO_LONG, "text") if len(record["text"]) > 50 else None

    cleaned, is_good, rejected = clean_records(records, check, lambda r: {"text": r["text"] + "!"})
    assert cleaned.to_dict("records") == [{"id": 3, "text": "a!"}]
    assert is_good.tolist() == [True, False, False]
    assert rejected.to_dict("records") == [
        dict(zip(COLUMNS, [5, "text", "missing", "missing", ""], strict=True)),
        dict(zip(COLUMNS, [9, "text", "too_long", "field too long", "x" * 79 + "…"], strict=True)),
    ]
    # A missing value is None for a check, whatever pandas makes of it.
    assert seen[2]["label"] is None and seen[0] == {"row": 3, "text": "a", "label": "1"}


def test_clean_records_of_nothing_and_of_all():
    records = pd.DataFrame({"id": [1, 2], "text": ["a", "b"]})
    cleaned, is_good, rejected = clean_records(records, lambda record: None, dict)
    pd.testing.assert_frame_equal(cleaned, records)
    assert is_good.all() and list(rejected.columns) == COLUMNS and len(rejected) == 0
    cleaned, is_good, rejected = clean_records(
        records, lambda record: Reason(Code.EMPTY, "text"), dict
    )
    assert len(cleaned) == 0 and not is_good.any()
    assert rejected["row"].tolist() == [1, 2]


# ---------------------------------------------------------------- the split


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(3, 60),
    method=st.sampled_from(["random", "contiguous"]),
    validation=st.one_of(st.floats(0.01, 0.9), st.integers(1, 20)),
    test=st.one_of(st.floats(0.01, 0.9), st.integers(1, 20)),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_record_is_in_one_split_and_none_is_empty(n, method, validation, test, seed):
    records = _frame(n)
    try:
        split = _split(records, method=method, validation=validation, test=test, seed=seed)
    except UserError:
        wanted = sum(np.ceil(x * n) if x < 1 else x for x in (validation, test))
        assert wanted >= n
        return
    parts = _ids(split)
    assert all(parts) and all(part == sorted(part) for part in parts)
    assert sorted(chain(*parts)) == list(range(1, n + 1))
    assert len(parts[2]) == (np.ceil(test * n - 1e-9) if test < 1 else test)
    again = _split(
        records.sample(frac=1, random_state=1),
        method=method,
        validation=validation,
        test=test,
        seed=seed,
    )
    assert _ids(again) == parts  # the order of the frame does not matter, id does


def test_the_seed_decides_and_the_test_is_scikit_learns_own():
    from sklearn.model_selection import train_test_split

    records = _frame(100)
    one, two = _ids(_split(records, seed=1)), _ids(_split(records, seed=2))
    assert one != two
    expected = train_test_split(np.arange(1, 101), test_size=0.2, random_state=1)[1]
    assert one[2] == sorted(expected.tolist())


def test_a_row_column_is_taken_for_the_id():
    split = _split(_frame(20).rename(columns={"id": "row"}))
    assert list(split.train.columns) == ["id", "text"]


def test_absolute_sizes_and_max_records():
    split = _split(_frame(50), validation=3, test=4, max_records=20)
    assert [len(part) for part in _ids(split)] == [13, 3, 4]
    assert split.counts["beyond_max_records"] == 30 and split.counts["records"] == 50
    assert len(_split(_frame(50), max_records=500).train) == 35
    # From all over the file, with the seed; contiguous takes the first.
    assert max(chain(*_ids(split))) > 40
    assert _ids(split) == _ids(_split(_frame(50), validation=3, test=4, max_records=20))
    other = _split(_frame(50), validation=3, test=4, max_records=20, seed=1)
    assert {*chain(*_ids(split))} != {*chain(*_ids(other))}
    fewer = _split(_frame(50), validation=3, test=4, max_records=20, train=6)
    assert {*_ids(fewer)[0]} < {*_ids(split)[0]} and len(fewer.train) == 6
    assert _ids(fewer)[1:] == _ids(split)[1:] and fewer.counts["beyond_max_records"] == 37
    split = _split(_frame(50), method="contiguous", max_records=20)
    assert sorted(chain(*_ids(split))) == list(range(1, 21))


@pytest.mark.parametrize("method", ["random", "stratified"])
def test_of_classes_in_order_max_records_takes_each_in_proportion(method):
    """Four classes of a hundred, one behind the other."""
    labels = [name for name in "dcba" for _ in range(100)]
    split = _split(_frame(400, label=labels), method=method, max_records=150)
    parts = pd.concat([split.train, split.validation, split.test])
    assert parts["label"].value_counts().to_dict() == {"a": 38, "b": 38, "c": 37, "d": 37}
    assert parts["label"][parts["id"] <= 50].size > 10


def test_a_rare_class_is_not_drawn_away():
    labels = ["often"] * 900 + ["rare"] * 4 + ["single"]
    split = _split(_frame(905, label=labels), max_records=30)
    parts = pd.concat([split.train, split.validation, split.test])
    assert parts["label"].value_counts().to_dict() == {"often": 26, "rare": 3, "single": 1}


def test_by_hash_few_of_those_drawn_change_when_records_are_added():
    before = _split(_frame(300), method="hash", max_records=100)
    after = _split(_frame(330), method="hash", max_records=100)
    drawn, again = {*chain(*_ids(before))}, {*chain(*_ids(after))}
    assert len(drawn) == len(again) == 100 and len(drawn & again) > 80
    # What is drawn is independent of the split.
    assert 8 < len(before.test) < 35


def test_stratified_keeps_the_shares_of_the_labels():
    labels = ["a"] * 80 + ["b"] * 20
    split = _split(_frame(100, label=labels), method="stratified")
    parts = (split.train, split.validation, split.test)
    assert [Counter(part["label"]) for part in parts] == [
        {"a": 56, "b": 14},
        {"a": 8, "b": 2},
        {"a": 16, "b": 4},
    ]


def test_contiguous_takes_the_last_records():
    assert _ids(_split(_frame(10), method="contiguous")) == [list(range(1, 8)), [8], [9, 10]]


def test_contiguous_cuts_between_chapters_where_that_is_near():
    chapters = ["1"] * 40 + ["2"] * 25 + ["3"] * 12 + ["4"] * 23
    split = _split(_frame(100, chapter=chapters), method="contiguous")
    # Asked for 20 and 10; the changes of chapter make it 23 and 12.
    assert [len(part) for part in _ids(split)] == [65, 12, 23]
    assert set(split.test["chapter"]) == {"4"} and set(split.validation["chapter"]) == {"3"}
    assert split.counts["chapters"] == {"train": 2, "validation": 1, "test": 1}
    assert split.counts["divided_chapters"] == 0
    # One chapter of 60 at the end is too far from 20: the cut is at the record.
    far = ["1"] * 40 + ["2"] * 60
    assert [len(p) for p in _ids(_split(_frame(100, chapter=far), method="contiguous"))] == [
        70,
        10,
        20,
    ]
    # Half of what was asked is still near, one record more is not.
    for last, size in ((30, 30), (31, 20)):
        chapters = ["1"] * (100 - last) + ["2"] * last
        assert len(_split(_frame(100, chapter=chapters), method="contiguous").test) == size
    tie = ["1"] * 78 + ["2"] * 4 + ["3"] * 18
    assert len(_split(_frame(100, chapter=tie), method="contiguous").test) == 22


def test_contiguous_leaves_something_for_training():
    chapters = [str(i) for i in range(4)]
    parts = _ids(_split(_frame(4, chapter=chapters), method="contiguous", validation=1, test=2))
    assert [len(part) for part in parts] == [1, 1, 2]
    chapters = ["1", "2", "2", "2"]
    parts = _ids(_split(_frame(4, chapter=chapters), method="contiguous", validation=1, test=2))
    assert [len(part) for part in parts] == [1, 1, 2]
    chapters = ["1", None, None, "2"]
    split = _split(_frame(4, chapter=chapters), method="contiguous", validation=1, test=1)
    assert all(_ids(split)) and split.counts["chapters"]["test"] == 1
    split = _split(_frame(60, chapter=["1", "2"] * 30))
    assert split.counts["chapters"] == {"train": 2, "validation": 2, "test": 2}
    assert split.counts["divided_chapters"] == 2
    assert "chapters" not in _split(_frame(60, chapter="")).counts


# ---------------------------------------------------------------- by hash


def _side(split):
    return {
        row: name
        for name, ids in zip(("train", "validation", "test"), _ids(split), strict=True)
        for row in ids
    }


# Few words, so that appended records often repeat, or nearly repeat, one that was there.
_TEXTS = st.lists(st.sampled_from("abcd"), min_size=3, max_size=8).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(
    before=st.lists(_TEXTS, min_size=12, max_size=40, unique=True),
    added=st.lists(_TEXTS, min_size=1, max_size=20),
    seed=st.integers(0, 2**32 - 1),
    threshold=st.sampled_from([None, 0.5, 0.85]),
)
def test_by_hash_appended_records_move_no_other(before, added, seed, threshold):
    options = {
        "method": "hash", "validation": 0.3, "test": 0.3, "seed": seed,
        "near_duplicate_threshold": threshold,
    }  # fmt: skip
    texts = before + added
    records = pd.DataFrame({"id": range(len(texts)), "text": texts})
    try:
        sides = _side(_split(records.head(len(before)), **options))
        after = _split(records, **options)
    except UserError:  # an empty split
        return
    now = _side(after)
    duplicates_now = set(after.excluded["row"])
    for row, side in sides.items():
        assert now.get(row) == side or row in duplicates_now
    # What left its side nearly repeats another record.
    codes = after.excluded.set_index("row")["code"]
    assert {codes[row] for row in sides if row not in now} <= {"near_duplicate"}


def test_by_hash_the_text_decides_as_it_is_compared_and_the_seed():
    records = _frame(1000)
    options = {"method": "hash", "validation": 0.1, "test": 0.2}
    split = _split(records, **options)
    assert abs(len(split.test) - 200) < 50 and abs(len(split.validation) - 100) < 40
    sides = _side(split)
    shouted = records.assign(text="  " + records["text"].str.upper())
    assert _side(_split(shouted, **options)) == sides
    # Neither the number of a record nor its place decides.
    backward = records.assign(id=records["id"].to_numpy()[::-1])
    assert _side(_split(backward, **options)) == {1001 - row: side for row, side in sides.items()}
    assert _side(_split(records, **options, seed=1)) != sides


def test_by_hash_another_method_moves_records_where_this_moves_none():
    records = _frame(301)
    for method, moves in (("random", True), ("hash", False)):
        before, after = (_side(_split(r, method=method)) for r in (records.head(300), records))
        assert (sum(before[row] != after[row] for row in before) > 30) is moves


def test_by_hash_every_split_has_records():
    message = _fails(_frame(3), method="hash", validation=0.01, test=0.01)
    assert message.startswith("tasks.news.split.method: by the hash")
    assert "in the validation split" in message or "in the test split" in message
    with pytest.raises(ValueError, match="shares"):
        _split(_frame(30), method="hash", test=3)


# ---------------------------------------------------------------- groups


def _grouped(draw, n, labels="ab"):
    groups = [f"group {draw.randint(0, n // 3)}" if draw.random() < 0.9 else "" for _ in range(n)]
    return _frame(n, group=groups, label=[draw.choice(labels) for _ in range(n)])


@settings(max_examples=100, deadline=None)
@given(
    draw=st.randoms(use_true_random=False),
    n=st.integers(3, 120),
    method=st.sampled_from(["random", "stratified", "hash"]),
    validation=st.floats(0.05, 0.4),
    test=st.floats(0.05, 0.4),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_group_is_in_two_splits(draw, n, method, validation, test, seed):
    records = _grouped(draw, n)
    sizes = {"validation": validation, "test": test, "seed": seed}
    try:
        split = _split(records, method=method, group_field="group", **sizes)
    except UserError:
        return
    parts = _ids(split)
    assert all(parts) and sorted(chain(*parts)) == list(range(1, n + 1))
    groups = [set(records["group"][np.array(part) - 1]) - {""} for part in parts]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert list(split.counts["groups"].values()) == [len(part) for part in groups]
    assert split.counts["without_group"] == (records["group"] == "").sum()
    for part in (split.train, split.validation, split.test):
        original = records.set_index("id").loc[part["id"], "group"]
        # Another name for each group, and none for a record by itself.
        assert ((part["group"] == "").to_numpy() == (original == "").to_numpy()).all()
        assert part["group"].nunique() == original.nunique()
    if method == "stratified":
        assert all(set(part["label"]) == {"a", "b"} for part in (split.train, split.test))
    again = _split(records.iloc[::-1], method=method, group_field="group", **sizes)
    assert _ids(again) == parts


@pytest.mark.parametrize("method", ["random", "stratified"])
def test_groups_come_near_to_the_sizes_and_shares_asked_for(method):
    draw = random.Random(5)
    sizes = [draw.choice([1, 1, 2, 3, 5, 20]) for _ in range(300)]
    groups = [f"g{i}" for i, size in enumerate(sizes) for _ in range(size)]
    # A group has mostly one label, as a source or an author has.
    label = {g: draw.choice("aaab") for g in groups}
    labels = [label[g] if draw.random() < 0.9 else draw.choice("ab") for g in groups]
    records = _frame(len(groups), group=groups, label=labels)
    split = _split(records, method=method, group_field="group")
    n = len(records)
    allowed = 2 if method == "random" else 8
    assert abs(len(split.test) - 0.2 * n) <= allowed
    assert abs(len(split.validation) - 0.1 * n) <= allowed
    if method == "stratified":
        for label in "ab":
            expected = 0.2 * (records["label"] == label).sum()
            assert abs((split.test["label"] == label).sum() - expected) <= allowed
    other = _split(records, method=method, group_field="group", seed=1)
    assert _ids(other) != _ids(split)


def test_a_group_larger_than_a_split_is_for_training():
    records = _frame(100, group=["large"] * 98 + ["one", "two"])
    for seed in range(10):
        split = _split(records, group_field="group", seed=seed)
        assert [len(part) for part in _ids(split)] == [98, 1, 1]


def test_by_hash_the_group_decides():
    records = _frame(400, group=[f"g{i % 90}" for i in range(400)])
    options = {"method": "hash", "group_field": "group"}
    before = _side(_split(records.head(300), **options))
    after = _side(_split(records, **options))
    assert before.items() <= after.items()
    texts = _side(_split(records.drop(columns="group"), method="hash"))
    assert texts != after


def test_groups_that_cannot_be_divided():
    message = _fails(_frame(30, group=["a"] * 20 + ["b"] * 10), group_field="group")
    assert message.startswith("tasks.news.split.group: the records are of 2 groups")
    labels = ["x"] * 10 + ["y"] * 20
    records = _frame(30, group=["only"] * 10 + [str(i) for i in range(20)], label=labels)
    message = _fails(records, group_field="group", method="stratified")
    assert message.startswith("tasks.news.split.method: stratified with whole groups")
    assert "'x'" in message
    with pytest.raises(ValueError, match="contiguous"):
        _split(_frame(30, group=["a"] * 30), group_field="group", method="contiguous")


# ---------------------------------------------------------------- duplicates


def test_exact_duplicates_are_left_out_before_the_split():
    records = _frame(20)
    records.loc[5, "text"] = "  Record NUMBER 0\n speaks of  subject 0 "
    records.loc[9, "text"] = "ﬁne Straße"
    records.loc[10, "text"] = "fine STRASSE"
    split = _split(records)
    assert split.excluded.to_dict("records") == [
        {
            "row": 6,
            "field": "text",
            "code": "duplicate",
            "reason": "duplicate of row 1",
            "excerpt": "Record NUMBER 0 speaks of subject 0",
        },
        {
            "row": 11,
            "field": "text",
            "code": "duplicate",
            "reason": "duplicate of row 10",
            "excerpt": "fine STRASSE",
        },
    ]
    assert split.counts["excluded"] == {"duplicate": 2}
    assert sorted(chain(*_ids(split))) == [i for i in range(1, 21) if i not in (6, 11)]


def test_the_same_text_with_another_label_is_a_conflict():
    records = _frame(20, label=["a", "b"] * 10)
    records.loc[[4, 5, 6], "text"] = records.loc[2, "text"]
    split = _split(records, method="stratified")
    assert split.excluded[["row", "field", "reason"]].values.tolist() == [
        [5, "text", "duplicate of row 3"],
        [6, "label", "conflicting label with row 3"],
        [7, "text", "duplicate of row 3"],
    ]
    assert split.excluded["excerpt"][1] == "b"
    assert split.counts["excluded"] == {"conflicting_label": 1, "duplicate": 2}


def test_fields_are_compared_one_by_one():
    records = pd.DataFrame(
        {"id": range(4), "a": ["x y", "x", None, "x y"], "b": ["z", "y z", "x y z", None]}
    )
    assert _split(records, text_fields=["a", "b"], validation=1, test=1).counts["excluded"] == {}


def test_only_duplicates():
    records = _frame(10).assign(text="all the same")
    message = _fails(records)
    assert "1 records are left to split (10 usable records, 9 duplicates)" in message


_BASE = (
    "the quick brown fox jumps over the lazy dog while seven wizards quietly box up forty large "
    "liquor jugs for the queen of some faraway northern country where snow never melts in spring"
)


def test_near_duplicates_of_training_leave_the_held_out_splits():
    records = _frame(10)
    records.loc[0, "text"] = _BASE  # training
    records.loc[7, "text"] = _BASE.replace("spring", "March")  # validation
    records.loc[8, "text"] = "Another text that stands in the test alone, and stays there."
    records.loc[9, "text"] = _BASE.replace("quick", "slow")  # test
    options = {"method": "contiguous", "validation": 2, "test": 2}
    split = _split(records, **options, near_duplicate_threshold=0.8)
    assert _ids(split) == [[1, 2, 3, 4, 5, 6], [7], [9]]
    assert split.excluded["row"].tolist() == [8, 10]
    assert split.excluded["reason"].tolist() == ["near duplicate of training row 1"] * 2
    assert split.counts["excluded"] == {"near_duplicate": 2}
    assert (split.counts["train"], split.counts["validation"], split.counts["test"]) == (6, 1, 1)
    assert _ids(_split(records, **options, near_duplicate_threshold=0.99)) == [
        [1, 2, 3, 4, 5, 6],
        [7, 8],
        [9, 10],
    ]


def test_near_duplicates_of_validation_leave_the_test():
    records = _frame(10)
    records.loc[6, "text"] = _BASE
    records.loc[9, "text"] = _BASE.replace("spring", "March")
    split = _split(records, method="contiguous", validation=2, test=2, near_duplicate_threshold=0.8)
    assert split.excluded["reason"].tolist() == ["near duplicate of validation row 7"]
    assert _ids(split)[1:] == [[7, 8], [9]]


def test_a_record_that_is_left_out_takes_no_other_with_it():
    records = _frame(10)
    words = _BASE.split()
    records.loc[0, "text"] = " ".join(words)
    records.loc[7, "text"] = " ".join(words[2:])  # near the training record
    records.loc[9, "text"] = " ".join(words[4:])  # near the one before, not the first
    split = _split(records, method="contiguous", validation=3, test=1, near_duplicate_threshold=0.9)
    assert split.excluded["row"].tolist() == [8]
    assert _ids(split)[1:] == [[7, 9], [10]]


def test_near_duplicates_that_empty_a_split_stop():
    records = _frame(10).assign(text=[f"{_BASE} {i}" for i in range(10)])
    assert "tasks.news.split.near_duplicates: all" in _fails(records, near_duplicate_threshold=0.8)
    for wrong in (0, 1.5, -1):
        assert "not in (0, 1]" in _fails(records, near_duplicate_threshold=wrong)


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.85])
def test_near_duplicates_are_those_that_comparing_all_pairs_finds(threshold):
    draw = random.Random(3)
    vocabulary = [f"w{i}" for i in range(300)]
    texts = []
    for i in range(300):
        words = draw.choices(vocabulary, k=draw.randint(1, 30))
        if i and draw.random() < 0.5:
            words = draw.choice(texts).split()
            for _ in range(draw.randint(0, 2)):
                words[draw.choice([0, -1, len(words) // 2])] = draw.choice(vocabulary)
        texts.append(" ".join(words))
    records = pd.DataFrame({"id": range(300), "text": texts})

    def grams(text):
        words = text.split()
        return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}

    def alike(a, b):
        a, b = grams(texts[a]), grams(texts[b])
        return len(a & b) / len(a | b) >= threshold

    train, validation, test = _ids(_split(records))
    kept = [v for v in validation if not any(alike(t, v) for t in train)]
    kept_test = [x for x in test if not any(alike(t, x) for t in (*train, *kept))]
    split = _split(records, near_duplicate_threshold=threshold)
    assert _ids(split) == [train, kept, kept_test]
    assert len(kept) + len(kept_test) < len(validation) + len(test)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=9), min_size=6, max_size=25),
    st.sampled_from([0.05, 0.3, 0.5, 0.55, 0.6, 0.75, 0.8, 0.9, 1.0]),
)
def test_no_near_duplicate_is_missed(texts, threshold):
    n = len(texts)
    grams = [{tuple(t[i : i + 3]) for i in range(max(1, len(t) - 2))} for t in texts]
    train, validation, test = np.arange(n - 4), np.arange(n - 4, n - 2), np.arange(n - 2, n)

    def first_similar(x, among):
        # Compared as fractions: 11 of 20 is 0.55, whatever 0.55 * 20 is in floating point.
        share = Fraction(str(threshold))
        return next(
            (int(i) for i in among if len(grams[i] & grams[x]) >= share * len(grams[i] | grams[x])),
            None,
        )

    expected = {}
    for x in (*validation, *test):
        if (i := first_similar(x, train)) is not None:
            expected[int(x)] = ("training", i)
    kept = [v for v in validation if v not in expected]
    for x in test:
        if x not in expected and (i := first_similar(x, kept)) is not None:
            expected[int(x)] = ("validation", i)
    joined = [" ".join(text) for text in texts]
    assert duplicates.near_duplicates(joined, train, validation, test, threshold) == expected


def test_a_template_does_not_make_every_pair_a_candidate(monkeypatch):
    draw = random.Random(1)
    template = " ".join(f"word{i}" for i in range(30))
    texts = [
        f"{template} {' '.join(str(draw.getrandbits(40)) for _ in range(3))}" for _ in range(600)
    ]
    compared = []
    shared = similar.Index.shared
    monkeypatch.setattr(
        similar.Index, "shared", lambda *pairs: compared.extend(pairs[-1]) or shared(*pairs)
    )
    # Each pair shares 28 of 34 shingles: 0.82.
    records = pd.DataFrame({"id": range(600), "text": texts})
    assert _split(records, near_duplicate_threshold=0.83).counts["excluded"] == {}
    assert len(compared) < 600
    with pytest.raises(UserError, match="near_duplicates: all"):
        _split(records, near_duplicate_threshold=0.82)


def test_what_is_found_is_not_looked_at_again():
    """Or each of the records that repeat one would be compared with all others."""
    template = " ".join(f"word{i}" for i in range(60))
    texts = [f"{template} {i}" for i in range(4000)]
    train, validation, test = np.arange(2000), np.arange(2000, 3000), np.arange(3000, 4000)
    expected = dict.fromkeys(range(2000, 4000), ("training", 0))
    assert duplicates.near_duplicates(texts, train, validation, test, 0.85) == expected
    index = similar.Index(texts, train, lambda sizes: sizes, np.bitwise_xor)
    entries = index.all_of(shingles.shingles(texts[:1]))
    counts = []
    for _ in range(3):
        counts.append(sum(len(pairs.others) for pairs in index.pairs(entries)))
        index.drop(np.arange(1, 2000))
    assert counts == [58 * 2000 + 1, 59, 59] and len(index._numbers) == 59


def test_texts_without_words_or_spaces():
    records = _frame(12)
    records.loc[[0, 9, 10], "text"] = ["!!!", "???", "🎉"]
    records.loc[[1, 11], "text"] = [
        "吾輩は猫である。名前はまだ無い。",
        "吾輩は猫である。名前はもう無い。",
    ]
    split = _split(records, method="contiguous", validation=1, test=3, near_duplicate_threshold=0.5)
    assert split.excluded["reason"].tolist() == ["near duplicate of training row 2"]
    records = _frame(12)
    records.loc[3, "text"] = "x " * 50_000
    assert len(_split(records, near_duplicate_threshold=0.5).train) == 7


# ---------------------------------------------------------------- what stops


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_records(n):
    assert f"{n} records are left to split ({n} usable records)" in _fails(_frame(n))
    assert "beyond max_records" in _fails(_frame(30), max_records=n)


def test_no_records():
    empty = pd.DataFrame({"id": pd.Series(dtype="int64"), "text": pd.Series(dtype="str")})
    assert "0 records are left to split (0 usable records)" in _fails(empty)


@pytest.mark.parametrize("wrong", [0, 0.0, -1, -0.5, 1.5, float("nan")])
def test_sizes_that_mean_nothing(wrong):
    assert _fails(_frame(30), validation=wrong).startswith("tasks.news.split.validation: ")
    assert _fails(_frame(30), test=wrong).startswith("tasks.news.split.test: ")


def test_sizes_that_leave_no_training():
    assert "leave nothing of the 30 records" in _fails(_frame(30), validation=0.5, test=0.5)
    assert "lower tasks.news.split.validation" in _fails(_frame(30), validation=10, test=20)


def test_labels_that_cannot_be_split():
    message = _fails(_frame(30, label=["a"] * 30))
    assert "all 30 records carry the label 'a'" in message
    message = _fails(_frame(30, label=["a"] * 29 + ["rare"]), method="stratified")
    assert message.startswith("tasks.news.split.method: ") and "'rare' has 1" in message
    message = _fails(_frame(30, label=["a"] * 28 + ["rare"] * 2), method="stratified")
    assert "'rare' has 2" in message
    message = _fails(_frame(30, label=list("abc") * 10), method="stratified", test=2)
    assert message.startswith("tasks.news.split.test: 2 records cannot hold 3 labels")
    assert "no label to stratify by" in _fails(_frame(30), method="stratified")
    # Three of a class can still be too few for the second of two splits.
    labels = ["a"] * 20 + ["b"] * 3
    message = _fails(_frame(23, label=labels), method="stratified", validation=2, test=16)
    assert "method: random" in message


def test_mistakes_of_the_caller_are_no_user_errors():
    with pytest.raises(ValueError, match="twice"):
        _split(pd.concat([_frame(10), _frame(10)]))
    with pytest.raises(ValueError, match="no field"):
        _split(_frame(10), text_fields=["texts"])
    with pytest.raises(ValueError, match="neither id nor row"):
        _split(_frame(10).drop(columns="id"))


# ---------------------------------------------------------------- real data


@pytest.mark.skipif(not DATA.is_dir(), reason="the extracts of published data are not here")
def test_real_news(tmp_path):
    columns = {"text": ["title", "description"], "label": "label"}
    out = tmp_path / "r.parquet"
    read_records(DATA / "ag_news.csv", None, columns, out, tmp_path / "x.csv", "datasets.news")
    records = pd.read_parquet(out)
    options = {"method": "stratified", "near_duplicate_threshold": 0.85, "max_records": 2000}
    split = _split(records, **options)
    assert sum(map(len, _ids(split))) + len(split.excluded) == 2000
    assert {p["label"].nunique() for p in (split.train, split.validation, split.test)} == {4}
    pd.testing.assert_frame_equal(split.excluded, _split(records, **options).excluded)

"""Splits that the source names: taken whole, what is missing is cut, every record accounted for."""

from pathlib import Path

import pandas as pd
import pytest
from deltatune.core.errors import UserError
from deltatune.data import given
from deltatune.data.prepare import prepare
from deltatune.data.readers.read import read_records
from deltatune.data.readers.writer import about_source
from deltatune.data.records import GIVEN, SPLITS
from deltatune.tasks.registry import load_kind
from hypothesis import given as drawn
from hypothesis import settings as examples
from hypothesis import strategies as st
from stage_settings import split_settings


def news(splits, texts=None, labels=None, **columns) -> pd.DataFrame:
    count = len(splits)
    return pd.DataFrame(
        {
            "row": range(1, count + 1),
            "text": texts or [f"field {i} of map {i * 7} lies {i * 3}" for i in range(count)],
            "label": labels or ["World", "Sports"] * (count // 2) + ["World"] * (count % 2),
            "part": splits,
            **columns,
        }
    )


def split_of(records, source=(), **changes):
    split = {"column": "part", "near_duplicates": None, **changes}
    settings = split_settings("classify", "news", labels=["World", "Sports"], split=split)
    return prepare(records, load_kind("classify"), settings, *source)


def ids(split) -> dict[str, list[int]]:
    return {name: part["id"].tolist() for name, part in split.parts().items()}


def test_given_splits_are_taken_whole_and_the_missing_one_is_cut_from_train():
    records = news(["test"] * 10 + ["train"] * 40)
    split, counts = split_of(records)
    rows = ids(split)
    assert rows["test"] == list(range(1, 11))
    assert sorted(rows["train"] + rows["validation"]) == list(range(11, 51))
    assert len(rows["validation"]) == 4  # a tenth of those of train
    assert not {GIVEN, "part"} & set(split.test.columns)
    assert counts["given"] == {
        "train": {
            **{"records": 40, "unusable": 0, "repeated": 0, "beyond_max_records": 0},
            **{"train": 36, "validation": 4},
        },
        "test": {"records": 10, "unusable": 0, "repeated": 0, "beyond_max_records": 0, "test": 10},
    }
    assert counts["notes"] == [
        "train is given: 40 records, 4 cut for validation",
        "test is given: 10 records",
    ]


@pytest.mark.parametrize("method", ["random", "stratified", "contiguous", "hash"])
@pytest.mark.parametrize("missing", [{"validation"}, {"test"}, {"validation", "test"}, set()])
def test_by_each_method_what_is_not_given_comes_from_train_alone(method, missing):
    names = [name for name in SPLITS if name not in missing]
    records = news([name for name in names for _ in range(60)])
    rows = ids(split_of(records, method=method)[0])
    place = dict(zip(records["row"], records["part"], strict=True))
    for name in SPLITS:
        assert rows[name]
        assert {place[row] for row in rows[name]} == {"train" if name in missing else name}
    assert sum(map(len, rows.values())) == len(records)
    if method == "contiguous":
        of_train = [row for name in ("train", *missing) for row in rows[name]]
        order = [n for n in SPLITS if n in {"train", *missing}]
        assert [row for name in order for row in rows[name]] == sorted(of_train)


def test_other_words_for_the_splits_are_taken_and_said():
    records = news(["Training", " dev", "test", "train"] * 10)
    split, counts = split_of(records)
    assert ids(split)["validation"] == list(range(2, 41, 4))
    assert counts["notes"][0] == ("split.column: 'Training' is train, 'dev' is validation")


def test_records_without_a_split_are_named_and_counted():
    records = news(["train"] * 60 + ["test"] * 37 + ["tset", " ", None])
    split, counts = split_of(records)
    assert counts["rejected"] == {"empty": 1, "missing": 1, "unknown_split": 1}
    assert split.excluded[["row", "field", "reason"]].values.tolist() == [
        [98, "part", "unknown split 'tset' (did you mean 'test'?)"],
        [99, "part", "empty"],
        [100, "part", "missing"],
    ]
    with pytest.raises(UserError, match="part: unknown split 'holdout', 10 records, the first"):
        split_of(news(["train"] * 60 + ["holdout"] * 10))


def test_a_text_in_two_splits_stays_in_the_earlier_one():
    texts = [f"field {i} of map {i * 7} lies {i * 3}" for i in range(60)]
    texts[0] = texts[30]  # of test and of train
    texts[1] = texts[50]  # of test and of validation
    records = news(["test"] * 20 + ["train"] * 20 + ["val"] * 20, texts)
    split, counts = split_of(records)
    assert split.excluded[["row", "reason"]].values.tolist() == [
        [1, "duplicate of row 31"],
        [2, "conflicting label with row 51"],
    ]
    assert len(split.test) == 18 and counts["given"]["test"]["repeated"] == 2
    assert "test is given: 20 records, 2 left out as repeated" in counts["notes"]


def test_near_duplicates_leave_the_given_test():
    texts = [f"the field {i} of map {i * 7} lies {i * 3} miles {i * 11} away" for i in range(40)]
    long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    texts[0], texts[39] = f"{long} fifteen", f"{long} fifteen sixteen"
    split, counts = split_of(news(["train"] * 30 + ["test"] * 10, texts), near_duplicates=0.7)
    assert "near_duplicate" in split.excluded["code"].tolist()
    assert 40 not in ids(split)["test"] and counts["given"]["test"]["repeated"] >= 1


def test_groups_stay_whole_in_what_is_cut_and_may_not_lie_in_two_given_splits():
    authors = [f"a{i // 4}" for i in range(60)]
    records = news(["train"] * 40 + ["test"] * 20, author=authors)
    split, counts = split_of(records, group="author", method="random")
    groups = [set(part["group"]) for part in split.parts().values()]
    assert not groups[0] & groups[1] and not groups[1] & groups[2]
    assert counts["given"]["test"]["test"] == 20
    records.loc[59, "author"] = "a0"
    with pytest.raises(UserError) as caught:
        split_of(records, group="author")
    assert "tasks.news.split.group: 1 groups with 5 records are in more than one" in str(
        caught.value
    )
    assert "the first, 'a0', is in train and test" in str(caught.value)


def test_max_records_draws_of_each_split_and_class_in_proportion():
    records = news(["train"] * 80 + ["test"] * 20)
    for method in ("random", "stratified", "hash", "contiguous"):
        split, counts = split_of(records, max_records=50, method=method)
        assert len(split.test) == 10 and len(split.train) + len(split.validation) == 40
        assert counts["given"]["train"]["beyond_max_records"] == 40
        if method != "hash":
            assert split.test["label"].value_counts().tolist() == [5, 5]


@pytest.mark.parametrize(
    ("splits", "changes", "message"),
    [
        (["validation"] * 20 + ["test"] * 20, {}, "no record for training, only for test and val"),
        (["train"] * 40, {"column": "prt"}, "no column 'prt' (did you mean 'part'?)"),
    ],
)
def test_what_cannot_be_used_is_told(splits, changes, message):
    with pytest.raises(UserError) as caught:
        split_of(news(splits), **changes)
    assert message in str(caught.value)


def test_a_given_split_of_duplicates_alone_stops_instead_of_being_cut():
    texts = [f"field {i} of map {i * 7} lies {i * 3}" for i in range(30)] * 2
    with pytest.raises(UserError, match="no record of the test split that the data give is left"):
        split_of(news(["train"] * 30 + ["test"] * 30, texts, labels=["World", "Sports"] * 30))


def test_a_column_is_refused_where_the_dataset_names_its_splits():
    records = news(["train"] * 20 + ["test"] * 20)
    records[GIVEN] = records["part"]
    with pytest.raises(UserError, match="the dataset names its splits itself"):
        split_of(records)


@examples(max_examples=60, deadline=None)
@drawn(
    splits=st.lists(st.sampled_from(["train"] * 4 + ["test", "dev"]), min_size=30, max_size=80),
    repeats=st.lists(st.tuples(st.integers(0, 79), st.integers(0, 79)), max_size=10),
    most=st.none() | st.integers(20, 80),
    method=st.sampled_from(["random", "contiguous", "hash"]),
)
def test_every_record_of_a_given_split_is_accounted_for(splits, repeats, most, method):
    splits = [*splits, *["train"] * 20, "test", "test", "test", "dev", "dev", "dev"]
    records = news(splits)
    for a, b in repeats:
        records.loc[a % len(splits), "text"] = records.text[b % len(splits)]
    records.loc[0, "label"] = "Wrld"
    try:
        split, counts = split_of(records, max_records=most, method=method, max_rejected=0.2)
    except UserError:
        return  # too few are left of one of them
    for name, count in counts["given"].items():
        asked = sum(given.split_of(one) == name for one in splits)
        assert count["records"] == asked == sum(n for key, n in count.items() if key != "records")
    rows = ids(split)
    used = [row for part in rows.values() for row in part]
    assert len(used) == len(set(used)) and not set(used) & set(split.excluded["row"])
    for name, part in rows.items():
        assert {given.split_of(splits[row - 1]) for row in part} == {name}
    assert len(used) + len(split.excluded) + counts["beyond_max_records"] == len(splits)


# ---------------------------------------------------------------- files


def test_files_of_splits_follow_each_other_and_what_is_unread_is_known_by_its_split(tmp_path):
    rows = [
        (f"field {i} of map {i * 7} lies {i * 3}", ["World", "Sports"][i % 2]) for i in range(60)
    ]

    def write(name: str, part, broken=0) -> Path:
        path = tmp_path / name
        lines = [f"{text},{label}\n" for text, label in part] + ["a,b,c\n"] * broken
        path.write_text("text,label\n" + "".join(lines))
        return path

    files = [
        write("a.csv", rows[:30], 1),
        write("b.csv", rows[30:40]),
        write("c.csv", rows[40:], 2),
    ]
    out = {"write": tmp_path / "records.parquet", "rejects": tmp_path / "rejects.csv"}
    for columns in ({}, {"text": "text", "label": "label"}):
        facts = read_records(files, None, columns, **out, splits=["train", "train", "test"])
        assert facts["splits"] == about_source(out["write"])["splits"] == {"train": 41, "test": 22}
    records = pd.read_parquet(out["write"])
    unread = pd.read_csv(out["rejects"], keep_default_na=False)
    source = (unread, None, None, about_source(out["write"])["splits"])
    _, counts = split_of(records, source, column=None, max_rejected=0.1)
    assert counts["given"]["train"]["records"] == 41 and counts["given"]["train"]["unusable"] == 1
    assert counts["given"]["test"] == {
        **{"records": 22, "unusable": 2, "repeated": 0, "beyond_max_records": 0, "test": 20}
    }

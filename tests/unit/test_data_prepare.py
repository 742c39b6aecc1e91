import pandas as pd
import pytest
from deltatune.core.errors import UserError
from deltatune.data.classes import shortages
from deltatune.data.prepare import prepare
from deltatune.data.readers.read import read_records
from deltatune.tasks.registry import load_kind
from stage_settings import split_settings

WORDS = ["amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath", "islet", "jetty"]
LABELS = ["World", "Sports"]


def news(count=40, **columns) -> pd.DataFrame:
    rows = range(1, count + 1)
    records = {
        "row": list(rows),
        "text": [
            f" {WORDS[i % 10]} {WORDS[i // 10 % 10]} stands alone in field {i} of the {i}th map "
            for i in rows
        ],
        "label": [LABELS[i % 2] for i in rows],
    }
    return pd.DataFrame(records | columns)


def split_of(records, labels=LABELS, source=(), **changes):
    """source: what `prepare` is told of the source, see there."""
    split = {"method": "stratified", "near_duplicates": None, **changes}
    settings = split_settings("classify", "news", labels=labels, split=split)
    return prepare(records, load_kind("classify"), settings, *source)


def test_each_record_lands_in_one_split_and_in_the_task_s_own_terms():
    records = news(label=[["0", "1"][i % 2] for i in range(40)])
    split, counts = split_of(records)
    parts = [split.train, split.validation, split.test]
    ids = [i for part in parts for i in part["id"]]
    assert sorted(ids) == list(range(1, 41))
    assert [len(part) for part in parts] == [28, 4, 8]
    whole = pd.concat(parts).set_index("id")
    assert set(whole["label"]) == set(LABELS)
    assert (whole["text"] == whole["text"].str.strip()).all()
    assert whole.loc[1, "label"] == "World"
    assert counts["records"] == 40
    assert counts["rejected"] == {}
    assert (counts["train"], counts["validation"], counts["test"]) == (28, 4, 8)


def test_what_is_left_out_has_row_field_reason_and_a_count():
    records = news(100)
    records.loc[3, "label"] = "Wrld"
    records.loc[5, "label"] = "Sport"
    records.loc[7, "text"] = None
    records.loc[8, "text"] = "   "
    records.loc[20, "text"] = records.loc[18, "text"]
    split, counts = split_of(records)
    assert counts["rejected"] == {"empty": 1, "missing": 1, "unknown_label": 2}
    excluded = split.excluded
    assert list(excluded.columns) == ["row", "field", "code", "reason", "excerpt"]
    assert excluded["row"].tolist() == [4, 6, 8, 9, 21]
    assert excluded["field"].tolist() == ["label", "label", "text", "text", "text"]
    assert excluded["reason"].iloc[0] == "unknown label 'Wrld' (did you mean 'World'?)"
    assert excluded["reason"].iloc[-1] == "duplicate of row 19"
    assert counts["train"] + counts["validation"] + counts["test"] + len(excluded) == 100


@pytest.mark.parametrize(("bad", "refused"), [(2, False), (3, True)])
def test_a_larger_share_than_allowed_stops_the_run(bad, refused):
    records = news(40)
    records.loc[: bad - 1, "label"] = "Sci/Tech"
    if not refused:
        assert split_of(records)[1]["rejected"] == {"unknown_label": bad}
        return
    with pytest.raises(UserError) as caught:
        split_of(records)
    message = str(caught.value)
    assert "tasks.news: 3 of 40 records cannot be used, more than the 5%" in message
    assert "label: unknown label 'Sci/Tech', 3 records, the first is row 1" in message
    assert "Add the label to tasks.news.labels" in message


def unread(rows, code, reason) -> pd.DataFrame:
    return pd.DataFrame(
        {"row": rows, "field": "", "code": code, "reason": reason, "excerpt": "1,a,b"}
    )


@pytest.mark.parametrize(
    ("code", "reason", "advice"),
    [
        ("wrong_columns", "wrong number of columns", "has to stand in quotation marks"),
        ("not_utf8", "not UTF-8", "Save the source as UTF-8"),
        ("not_json", "not JSON", "Correct the rows"),
    ],
)
def test_what_the_reader_left_out_counts_as_unusable(code, reason, advice, tmp_path):
    """Two thirds of a csv with a comma in the text, in other bytes, or of broken lines."""
    records = news(60)
    lines = unread(range(61, 181), code, reason)
    with pytest.raises(UserError) as caught:
        split_of(records, source=(lines, None, tmp_path))
    message = str(caught.value)
    assert "tasks.news: 120 of 180 records cannot be used, more than the 5%" in message
    assert f"- {reason}, 120 records, the first is row 61" in message and advice in message
    # The list is no output of the stage, which has failed, and stays.
    assert message.endswith(f"All of them are in {tmp_path / 'unusable.csv'}.")
    assert len(pd.read_csv(tmp_path / "unusable.csv")) == 120

    split, counts = split_of(records, source=(lines.head(3), None, tmp_path))
    assert split.excluded["row"].tolist() == [61, 62, 63]
    assert counts["unread"] == {code: 3} and counts["rejected"] == {}
    assert counts["records"] == 60
    assert counts["train"] + counts["validation"] + counts["test"] == 60
    assert not (tmp_path / "unusable.csv").exists()


def test_answers_that_are_marked_as_undesirable_stop_nothing_however_many(tmp_path):
    lines = unread(range(61, 181), "undesirable", "marked as undesirable")
    split, counts = split_of(news(60), source=(lines, None, tmp_path))
    assert counts["unread"] == {"undesirable": 120} and len(split.excluded) == 120
    more = pd.concat([lines, unread([181, 182, 183, 184], "not_utf8", "not UTF-8")])
    with pytest.raises(UserError, match="4 of 64 records cannot be used"):
        split_of(news(60), source=(more, None, tmp_path))


def test_paragraphs_that_were_not_read_are_counted_out_of_paragraphs():
    chunks = pd.DataFrame({"row": range(1, 21), "chapter": "", "text": news(20)["text"]})
    task = split_settings("prose", "news", split={"near_duplicates": None})
    lines = unread([4, 9], "not_utf8", "not UTF-8")
    split, _ = prepare(chunks, load_kind("prose"), task, lines, paragraphs=40)
    assert split.excluded[["row", "field"]].values.tolist() == [[4, "paragraph"], [9, "paragraph"]]
    with pytest.raises(UserError, match="2 of 39 paragraphs cannot be used"):
        prepare(chunks, load_kind("prose"), task, lines, paragraphs=39)


def test_many_faults_are_told_in_a_few_lines():
    records = news(40)
    records.loc[:19, "label"] = [f"kind{i}" for i in range(20)]
    with pytest.raises(UserError) as caught:
        split_of(records)
    assert len(str(caught.value).splitlines()) < 12
    assert "and more" in str(caught.value)


def test_faults_that_are_no_labels_point_to_the_columns():
    records = news(40)
    records.loc[:9, "text"] = ""
    with pytest.raises(UserError, match="Correct the rows or the dataset's `columns`"):
        split_of(records)


def test_a_missing_field_names_what_there_is():
    records = news().rename(columns={"label": "class"})
    with pytest.raises(UserError) as caught:
        split_of(records)
    assert "need `label`, and the dataset has text, class" in str(caught.value)
    assert "columns: {label: class}" in str(caught.value)


def test_an_optional_field_may_be_missing():
    texts = news(30)["text"]
    records = pd.DataFrame({"row": range(1, 31), "instruction": texts, "output": texts + "!"})
    kind = load_kind("instruct")
    settings = split_settings("instruct", split={"near_duplicates": None})
    split, _ = prepare(records, kind, settings)
    assert (split.train["input"] == "").all()
    # A cell without a value is the same as no column.
    records["input"] = [None, "x"] * 15
    split, counts = prepare(records, kind, settings)
    assert counts["rejected"] == {}
    assert set(split.train["input"]) == {"", "x"}


def test_a_class_without_records_is_refused():
    records = news(label=["World"] * 40)
    with pytest.raises(UserError, match=r"tasks\.news\.labels: no record is labeled 'Sports'"):
        split_of(records)


@pytest.mark.parametrize("kind", ["classify", "instruct", "prose"])
def test_a_dataset_without_records_is_refused(kind):
    fields = {"classify": ["text", "label"], "instruct": ["instruction", "output"]}
    records = pd.DataFrame({n: [] for n in ["row", *fields.get(kind, ["text", "chapter"])]})
    labels = {"labels": LABELS} if kind == "classify" else {}
    with pytest.raises(UserError, match=r"tasks\.news: .*no record"):
        prepare(records, load_kind(kind), split_settings(kind, "news", **labels))


def test_all_unusable_records_are_refused_even_where_many_may_be():
    records = news(10, label=["x"] * 10)
    with pytest.raises(UserError, match="cannot be used"):
        split_of(records, max_rejected=0.99)


def test_the_same_records_give_the_same_splits():
    one, same = split_of(news())[0], split_of(news())[0]
    pd.testing.assert_frame_equal(one.test, same.test)
    other = split_of(news(), seed=1)[0]
    assert set(other.test["id"]) != set(one.test["id"])


def test_an_id_of_the_data_s_own_is_not_taken_for_the_row():
    """Many published data sets have an `id` column, and it is text."""
    records = news(40, id=[f"a{i}" for i in range(40)])
    records.loc[3, "text"] = None
    split, _ = split_of(records)
    assert split.excluded[["row", "reason"]].values.tolist() == [[4, "missing"]]
    numbers = news(40, id=range(100, 140))
    numbers.loc[3, "text"] = None
    assert split_of(numbers)[0].excluded["row"].tolist() == [4]


@pytest.mark.parametrize("label", ["9" * 5000, "\u0661" * 5000])
def test_a_label_of_five_thousand_digits_is_only_unknown(label):
    records = news()
    records.loc[3, "label"] = label
    split, counts = split_of(records)
    assert counts["rejected"] == {"unknown_label": 1}
    assert len(split.excluded["reason"][0]) < 100


def test_columns_that_cannot_be_shown_are_told_all_the_same():
    records = news().rename(columns={"text": "te\x1bxt" + "x" * 500})
    with pytest.raises(UserError) as error:
        split_of(records)
    assert str(error.value).isprintable() and len(str(error.value)) < 400


# ---------------------------------------------------------------- labels


def labeled(*values, count=60):
    return news(count, label=[values[i % len(values)] for i in range(count)])


def labels_of(split):
    whole = pd.concat([split.train, split.validation, split.test]).sort_values("id")
    return whole["label"].tolist()


def test_of_names_that_are_numbers_none_is_taken_for_an_index():
    """Data from 0 to 5, names from 1 to 5: a 0 is not the class "1"."""
    records = labeled("0", "1", "2", "3", "4", "5")
    with pytest.raises(UserError, match="unknown label '0'"):
        split_of(records, labels=["1", "2", "3", "4", "5"])
    split, counts = split_of(records, labels=["1", "2", "3", "4", "5"], max_rejected=0.2)
    assert counts["rejected"] == {"unknown_label": 10}
    assert labels_of(split)[:5] == ["1", "2", "3", "4", "5"]
    assert counts["notes"] == ["labels are read as names, so 0 is no index"]


def test_where_no_record_has_a_name_indices_are_read_and_that_is_said():
    split, counts = split_of(labeled("0", "1"))
    assert labels_of(split)[:2] == LABELS
    assert counts["notes"] == ["labels are read as indices: 0 is 'World', 1 is 'Sports'"]
    assert split_of(news())[1]["notes"] == []
    # A few numbers among names are no indices.
    records = news(100)
    records.loc[3, "label"] = "1"
    assert split_of(records)[1]["rejected"] == {"unknown_label": 1}


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (("true", "false"), ["false", "true"]),
        (("True", "False"), ["false", "true"]),
        (("1", "0"), {0: "false", 1: "true"}),
        (("1.0", "0.0"), {0: "false", 1: "true"}),
        (("true", "false"), {0: "false", 1: "true"}),
        (("TRUE", "false"), {False: "false", True: "true"}),
        (("1.0", "0.00"), ["false", "true"]),
        (("0.5", "-1.0"), {0.5: "true", -1: "false"}),
    ],
)
def test_the_same_value_reads_alike_however_a_format_writes_it(values, labels):
    split, counts = split_of(labeled(*values), labels=labels)
    assert counts["rejected"] == {} and labels_of(split)[:2] == ["true", "false"]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (("true", "false"), ["True", "False"]),
        (("true", "false"), ["1", "0"]),
        (("1", "0"), ["1.0", "0.0"]),
    ],
)
def test_a_name_is_recognized_however_it_is_written(values, labels):
    """Read as indices, true would be the second name."""
    split, counts = split_of(labeled(*values), labels=labels)
    assert labels_of(split)[:2] == labels and counts["notes"] == []


@pytest.mark.parametrize("labels", [["café", "thé"], {"cafe\u0301": "café", "thé": "thé"}, None])
def test_an_accent_is_the_same_as_one_character_or_as_two(labels):
    records = labeled("caf\u00e9", "the\u0301", "cafe\u0301", "th\u00e9")
    split, counts = split_of(records, labels=labels)
    assert counts["rejected"] == {} and labels_of(split)[:4] == ["café", "thé"] * 2
    assert list(counts["classes"]["train"]) == ["café", "thé"]


def test_truth_values_as_indices_are_said():
    split, counts = split_of(labeled("true", "false"), labels=["yes", "no"])
    assert labels_of(split)[:2] == ["no", "yes"]
    assert counts["notes"] == ["labels are read as indices: false is 'yes', true is 'no'"]
    counts = split_of(labeled("1.0", "0.0"))[1]
    assert counts["notes"] == ["labels are read as indices: 0 is 'World', 1 is 'Sports'"]


# ---------------------------------------------------------------- labels that nobody named


def test_labels_that_are_left_out_are_those_of_the_usable_records():
    records = labeled("2.0", "10", "1.0")
    split, counts = split_of(records, labels=None)
    assert labels_of(split)[:3] == ["2", "10", "1"]
    assert list(counts["classes"]["train"]) == ["1", "2", "10"]
    assert counts["notes"] == [
        "the 3 labels are those of the records, in this order: '1', '2', '10'"
    ]
    # A label of records that cannot be used is no class.
    records.loc[records["label"] == "10", "text"] = " "
    counts = split_of(records, labels=None, max_rejected=0.5)[1]
    assert list(counts["classes"]["train"]) == ["1", "2"]


def test_labels_that_are_left_out_split_as_those_that_are_named():
    """The same records, in the same splits."""
    named = split_of(news(label=["World", "Sports"] * 20))[0]
    left_out = split_of(news(label=["World", "Sports"] * 20), labels=None)[0]
    for part, frame in named.parts().items():
        pd.testing.assert_frame_equal(frame, left_out.parts()[part])


def test_labels_that_are_left_out_have_the_names_of_their_source():
    names = [*SOURCE_NAMES, "Arts"]
    values, notes = by_index(None, names)
    assert values == SOURCE_NAMES
    assert notes == [
        "the 3 labels are those of the records, in this order: 'World', 'Sports', 'Business'"
    ]
    # Where the hub hides the labels of a split it writes -1.
    with pytest.raises(UserError, match="unknown label '-1'"):
        by_index(None, names, values=("0", "-1", "2"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([f"sentence {n}" for n in range(60)], "tasks.news.labels: 60 records have 60 different"),
        (["World", "world", "Sports"], "tasks.news.labels: the records have 'World' and 'world'"),
        (["World"], "all 60 records carry the label 'World'"),
    ],
)
def test_labels_that_are_no_classes(values, message):
    with pytest.raises(UserError) as caught:
        split_of(news(60, label=[values[i % len(values)] for i in range(60)]), labels=None)
    assert message in str(caught.value)


# ---------------------------------------------------------------- classes

NAMES = ["World", "Sports", "Weather", "Arts"]


def with_a_weather_report(copies, **changes):
    """60 news, then a report again and again with another number; its class is in every split."""
    records = news(60 + copies)
    numbers = range(60, 60 + copies)
    report = "rain and wind are expected over all the islands in the north tomorrow number"
    records.loc[60:, "text"] = [f"{report} {n}" for n in numbers]
    records.loc[60:, "label"] = "Weather"
    return split_of(records, NAMES[:3], **changes)


def test_a_class_that_near_duplicates_erase_from_a_split_is_counted_and_named():
    _, counts = with_a_weather_report(30)
    assert counts["classes"]["test"]["Weather"] == 6
    assert shortages(counts["classes"]) == []
    split, counts = with_a_weather_report(30, near_duplicates=0.5)
    assert "Weather" not in set(split.test["label"])
    assert counts["classes"]["test"] == {"World": 6, "Sports": 6, "Weather": 0}
    assert counts["classes"]["train"] == dict(split.train["label"].value_counts()[NAMES[:3]])
    assert shortages(counts["classes"], counts["excluded"]["near_duplicate"]) == [
        "no validation record of 'Weather' (9 near duplicates were left out: a higher "
        "split.near_duplicates keeps more)",
        "no test record of 'Weather': nothing is measured on it (9 near duplicates were left out: "
        "a higher split.near_duplicates keeps more)",
    ]


def test_classes_with_few_test_records_or_none_in_training_are_named():
    counts = {
        "train": {"World": 9, "Sports": 3, "Weather": 0, "Arts": 0},
        "validation": {"World": 1, "Sports": 1, "Weather": 1, "Arts": 1},
        "test": {"World": 5, "Sports": 4, "Weather": 1, "Arts": 0},
    }
    assert shortages(counts) == [
        "no training record of 'Weather', 'Arts': it cannot be learned",
        "no test record of 'Arts': nothing is measured on it",
        "fewer than 5 test records of 'Sports' (4), 'Weather' (1)",
    ]


def test_training_records_of_one_class_are_refused():
    records = news(40, label=["World"] * 35 + ["Sports"] * 5)
    with pytest.raises(UserError) as caught:
        split_of(records, method="contiguous")
    assert str(caught.value).startswith(
        "tasks.news.split: all 28 training records are labeled 'World', so that nothing can be "
        "learned; use method: stratified"
    )


# ---------------------------------------------------------------- split.group


def sides(split):
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    return {i: name for name, part in parts.items() for i in part["id"]}


@pytest.mark.parametrize("method", ["random", "stratified", "hash"])
def test_equal_values_of_a_column_are_in_one_split(method):
    authors = [f"{'Ann' if i % 2 else ' ANN'} {i % 13}" for i in range(100)]
    split, counts = split_of(news(100, author=authors), method=method, group="author")
    side_of = {}
    for i, side in sides(split).items():
        # As they are compared: case and spaces do not make another author.
        assert side_of.setdefault((i - 1) % 13, side) == side
    assert set(side_of.values()) == {"train", "validation", "test"}
    assert sum(counts["groups"].values()) == 13 and counts["without_group"] == 0
    assert list(split.train.columns) == ["id", "text", "label", "group"]


def test_of_several_columns_equal_in_all_is_a_group():
    records = news(60, author=["Ann", "Bob"] * 30, year=[2000 + i // 4 for i in range(60)])
    _, counts = split_of(records, group=["author", "year"])
    assert sum(counts["groups"].values()) == 30


def test_a_record_without_a_value_is_a_group_by_itself():
    authors = [None, ""] * 40 + [f"a{i % 5}" for i in range(20)]
    _, counts = split_of(news(100, author=authors), method="random", group="author")
    assert counts["without_group"] == 80 and sum(counts["groups"].values()) == 5
    with pytest.raises(UserError, match=r"tasks\.news\.split\.group: no record has a value"):
        split_of(news(author=[None] * 40), method="random", group="author")


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(UserError) as caught:
        split_of(news(authors=["x"] * 40), method="random", group=["label", "author"])
    assert str(caught.value) == (
        "tasks.news.split.group: the dataset has no column 'author' (did you mean 'authors'?); it "
        "has text, label, authors"
    )
    with pytest.raises(UserError, match="no column 'row'"):
        split_of(news(), method="random", group="row")


def test_a_column_that_the_dataset_does_not_map_is_kept(tmp_path):
    """`columns` names the fields of the task; a group may be any other."""
    path = tmp_path / "news.csv"
    frame = news(60, author=[f"a{i % 9}" for i in range(60)]).drop(columns="row")
    frame.rename(columns={"text": "body"}).to_csv(path, index=False)
    out = {"write": tmp_path / "r.parquet", "rejects": tmp_path / "x.csv", "where": "datasets.d"}
    columns = {"text": "body", "label": "label"}
    read_records(path, None, columns, **out, groups=["author", "body"])
    records = pd.read_parquet(out["write"])
    assert list(records.columns) == ["row", "text", "label", "group:author", "group:body"]
    _, counts = split_of(records, method="random", group="author")
    assert sum(counts["groups"].values()) == 9
    with pytest.raises(UserError) as caught:
        read_records(path, None, columns, **out, groups=["authors"])
    assert str(caught.value).startswith(
        "datasets.d: `split` of its task names 'authors', and "
        f"{path} has no column 'authors' (did you mean 'author'?); its columns are: "
    )


def test_a_kept_column_is_no_field_of_a_task():
    """Not an input of an instruction, though the column is called so."""
    texts = news(30)["text"]
    records = pd.DataFrame({"row": range(1, 31), "instruction": texts, "output": texts + "!"})
    records["group:input"] = [f"g{i % 7}" for i in range(30)]
    settings = split_settings("instruct", split={"near_duplicates": None, "group": "input"})
    split, counts = prepare(records, load_kind("instruct"), settings)
    assert (split.train["input"] == "").all() and sum(counts["groups"].values()) == 7


SOURCE_NAMES = ["World", "Sports", "Business"]


def by_index(labels, names=SOURCE_NAMES, values=("0", "1", "2")):
    records = news(60, label=[values[i % 3] for i in range(60)])
    source = (None, None, None, None, names)
    split, counts = split_of(records, labels, source)
    whole = pd.concat(split.parts().values()).set_index("id")["label"]
    return whole.loc[[1, 2, 3]].tolist(), counts["notes"]


def test_indices_have_the_names_that_their_source_gives_them():
    """In another order these were other classes, without a word."""
    same, _ = by_index(["World", "Sports", "Business"])
    other, notes = by_index(["sports", "Business", "World"])
    assert same == SOURCE_NAMES and other == ["World", "sports", "Business"]
    assert notes == [
        "labels are read by the names of their source, in another order: 0 is 'World', 1 is "
        "'sports', 2 is 'Business'"
    ]
    # Names of the task's own, and records that have names.
    assert by_index(["a", "b", "c"])[0] == ["a", "b", "c"]
    assert by_index({2: "World news", 0: "World", 1: "Sports"})[0][0] == "World"
    assert by_index(["Sports", "World", "Business"], values=SOURCE_NAMES)[0] == SOURCE_NAMES


@pytest.mark.parametrize(
    "labels", [["Sports", "World", "Trade"], {0: "Sports", 1: "World", 2: "Business"}]
)
def test_an_index_is_not_called_by_the_name_of_another_class(labels):
    with pytest.raises(UserError) as caught:
        by_index(labels)
    assert str(caught.value) == (
        "tasks.news.labels: 0 is read as 'Sports', and the source of the records calls 0 'World' "
        "and 1 'Sports'; its names are, in the order of the indices, ['World', 'Sports', "
        "'Business']"
    )

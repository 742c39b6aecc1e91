"""Mixtures: shares that hold, no row twice, and every row traced to its dataset."""

from collections import Counter

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltatune.core.errors import UserError
from deltatune.data.mixing import Part, mix, sizes
from deltatune.data.mixture_settings import MixtureSettings
from deltatune.data.prepare import prepare
from deltatune.data.readers.read import read_records
from deltatune.data.readers.writer import about_source, add_about
from deltatune.data.records import ORIGIN_FIELDS, ORIGINS
from deltatune.tasks import instruct
from pydantic import ValidationError
from stage_settings import split_settings


def settings(**keys):
    about = {"of": {"a": 1, "b": 1}, "used": ["input", "instruction", "messages", "output"]}
    return MixtureSettings(source="mixture", dataset="both", **{**about, **keys})


@pytest.mark.parametrize(
    ("rows", "of", "records", "expected"),
    [
        ({"a": 100, "b": 100}, {"a": 0.7, "b": 0.3}, None, {"a": 99, "b": 43}),
        ({"a": 100, "b": 30}, {"a": 7, "b": 3}, None, {"a": 70, "b": 30}),
        ({"a": 100, "b": 100}, {"a": 0.7, "b": 0.3}, 10, {"a": 7, "b": 3}),
        ({"a": 9, "b": 9, "c": 9}, {"a": 1, "b": 1, "c": 1}, 8, {"a": 3, "b": 3, "c": 2}),
        ({"a": 10, "b": 10}, {"a": 0.1, "b": 0.2}, None, {"a": 5, "b": 10}),
    ],
)
def test_as_many_rows_as_the_shares_allow(rows, of, records, expected):
    assert sizes(rows, settings(of=of, records=records), "datasets.both") == expected


def test_sizes_that_cannot_be_are_refused_with_what_can():
    rows = {"a": 70, "b": 20}
    with pytest.raises(UserError) as error:
        sizes(rows, settings(of={"a": 7, "b": 3}, records=90), "datasets.both")
    assert str(error.value) == (
        "datasets.both.records: 90 rows in these shares are 27 of 'b', which has 20, and none is "
        "drawn twice; write 66 or less, leave `records` out, or give 'b' a smaller weight"
    )
    assert sum(sizes(rows, settings(of={"a": 7, "b": 3}, records=66), "").values()) == 66
    with pytest.raises(UserError, match=r"^datasets.both.of.b: no row of 'b' is among 70 in these"):
        sizes(rows, settings(of={"a": 1000, "b": 1}), "datasets.both")
    for wrong in ({"a": 1}, {"a": 1, "b": 0}, {"a": 1, "b": -1}):
        with pytest.raises(ValidationError):
            settings(of=wrong)


@pytest.fixture
def parts(tmp_path):
    """Two read datasets of 40 rows and of 20, some of them unreadable, and where they lie."""

    def read(name, text, columns):
        (tmp_path / f"{name}.csv").write_text(text)
        out, rejects = tmp_path / f"{name}.parquet", tmp_path / f"{name}-rejects.csv"
        read_records(tmp_path / f"{name}.csv", None, columns, out, rejects)
        return Part.read(out, rejects)

    own = {"instruction": "question", "output": "answer"}
    rows = [f"q{i},a{i}" + ",too many" * (i % 10 == 9) for i in range(1, 41)]
    other = [f"p{i},i{i},o{i}" for i in range(1, 21)]
    return {
        "a": read("a", "\n".join(["question,answer", *rows]), own),
        "b": read("b", "\n".join(["instruction,input,output", *other]), {}),
    }


def drawn(parts, tmp_path, **keys):
    facts = mix(parts, settings(**keys), tmp_path / "mix.parquet", tmp_path / "mix.csv")
    rejects = pd.read_csv(tmp_path / "mix.csv")
    return facts, pd.read_parquet(tmp_path / "mix.parquet"), rejects


def test_every_row_is_of_one_row_of_a_part(parts, tmp_path):
    facts, records, rejects = drawn(parts, tmp_path, of={"b": 1, "a": 2})
    assert facts["parts"]["a"] == {"weight": 2, "rows": 40, "drawn": 40, "unread": 4, "left": 0}
    assert facts["parts"]["b"] == {"weight": 1, "rows": 20, "drawn": 20, "unread": 0, "left": 0}
    assert (facts["rows"], facts["kept"], facts["rejected"]) == (60, 56, 4)
    assert facts["reasons"] == {"wrong_columns": 4}
    assert facts["notes"] == ["'a' has no `input`"]
    assert sorted([*records["row"], *rejects["row"]]) == list(range(1, 61))
    assert records["row"].is_monotonic_increasing and rejects["row"].is_monotonic_increasing
    for record in records.to_dict("records"):
        name, row = (record[field] for field in ORIGIN_FIELDS)
        letter = {"a": "q", "b": "p"}[name]
        assert record["instruction"] == f"{letter}{row}"
        assert (record["input"] == f"i{row}") == (name == "b")
    assert list(rejects["dataset_row"]) == [9, 19, 29, 39] and {*rejects["dataset"]} == {"a"}


def test_any_beginning_has_the_shares(parts, tmp_path):
    _, records, rejects = drawn(parts, tmp_path, of={"a": 2, "b": 1})
    origin = pd.concat(
        [records.set_index("row")[ORIGIN_FIELDS[0]], rejects.set_index("row")["dataset"]]
    )
    for end in range(3, 61, 3):
        assert abs((origin.sort_index().head(end) == "b").sum() - end / 3) <= 1


def test_the_draw_depends_on_the_seed_and_grows_with_the_weight(parts, tmp_path):
    def rows(**keys):
        _, records, rejects = drawn(parts, tmp_path, **keys)
        both = [*zip(records[ORIGIN_FIELDS[0]], records[ORIGIN_FIELDS[1]], strict=True)]
        return {*both, *zip(rejects["dataset"], rejects["dataset_row"], strict=True)}

    ten = rows(records=10)
    assert len(ten) == 10 and ten == rows(records=10, of={"b": 3, "a": 3})
    assert ten < rows(records=20)
    assert ten != rows(records=10, seed=1)
    facts, *_ = drawn(parts, tmp_path, records=10)
    assert [part["left"] for part in facts["parts"].values()] == [35, 15]


def test_what_became_of_each_part_is_counted_in_the_split(parts, tmp_path):
    _, records, rejects = drawn(parts, tmp_path)
    records.loc[3, "output"] = None
    records.loc[8, ["instruction", "output"]] = records.loc[5, ["instruction", "output"]].to_numpy()
    records.loc[8, "input"] = records.loc[5, "input"]
    chosen = split_settings("instruct", split={"max_rejected": 0.5, "max_records": 30})
    split, counts = prepare(records, instruct, chosen, rejects)
    facts = mix(parts, settings(), tmp_path / "m.parquet", tmp_path / "m.csv")["parts"]
    assert counts["parts"].keys() == facts.keys()
    for name, part in counts["parts"].items():
        total = part.pop("records")
        assert total == facts[name]["drawn"] == sum(part.values())
        used = {key: part.get(key, 0) for key in ("train", "validation", "test")}
        assert used == {
            key: (frame["dataset"] == name).sum() for key, frame in split.parts().items()
        }
    assert sum(part["repeated"] for part in counts["parts"].values()) == 1
    left_out = split.excluded
    assert list(left_out)[-2:] == ORIGINS
    assert len(left_out) == len(rejects) + 2
    train = split.train.set_index("id")
    of_a = train[train["dataset"] == "a"]
    assert list(of_a["instruction"]) == [f"q{row}" for row in of_a["dataset_row"]]


def test_too_many_unusable_ones_are_listed_with_their_origin(parts, tmp_path):
    _, records, rejects = drawn(parts, tmp_path)
    records["output"] = None
    with pytest.raises(UserError, match="cannot be used"):
        prepare(records, instruct, split_settings("instruct"), rejects, folder=tmp_path)
    listed = pd.read_csv(tmp_path / "unusable.csv")
    assert len(listed) == len(records) + len(rejects)
    assert Counter(listed["dataset"]) == {"a": 20, "b": 20}


def test_names_of_classes_are_those_of_each_part(tmp_path):
    def part(values, names):
        table = pa.table({"row": pa.array(range(1, len(values) + 1), pa.int64()), "label": values})
        return Part(
            table, pd.DataFrame(columns=["row", *"fcre"]), {"label": names} if names else {}
        )

    def labels(**parts):
        given = {name: part(*one) for name, one in parts.items()}
        for one in given.values():
            one.rejects.columns = ["row", "field", "code", "reason", "excerpt"]
        of = settings(of=dict.fromkeys(given, 1))
        facts = mix(given, of, tmp_path / "r.parquet", tmp_path / "r.csv")
        rows = pq.read_table(tmp_path / "r.parquet").to_pylist()
        return (
            [row["label"] for row in rows],
            about_source(tmp_path / "r.parquet")["classes"],
            facts,
        )

    texts, classes, facts = labels(a=(["0", "1"], ["no", "yes"]), b=(["1", "0"], ["no", "yes"]))
    assert (sorted(texts), classes) == (["0", "0", "1", "1"], {"label": ["no", "yes"]})
    texts, classes, facts = labels(a=(["0", "0"], ["no", "yes"]), b=(["0", "0"], ["yes", "no"]))
    assert (sorted(texts), classes) == (["no", "no", "yes", "yes"], {})
    texts, classes, facts = labels(a=(["0", "0"], ["no", "yes"]), b=(["yes", "yes"], None))
    assert (sorted(texts), classes) == (["no", "no", "yes", "yes"], {})
    assert facts["notes"] == ["labels of 'a' are read by the names that its source has"]
    assert not (add_about(pa.table({"row": [1]}), {}).schema.metadata)

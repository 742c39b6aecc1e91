"""Records in: every format, and what may be wrong with a file or a row."""

import bz2
import csv
import gzip
import io
import json
import lzma
import math
import string
import time
import zipfile
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltatune.core.errors import UserError
from deltatune.core.text import excerpt
from deltatune.data import formats
from deltatune.data.readers import lines, parquet, read, writer
from deltatune.data.readers.files import File
from deltatune.data.readers.joined import Joined
from deltatune.data.reasons import COLUMNS, Code
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
TWO = {"label": "label", "text": "text"}


def archive(files: dict[str, str | bytes]) -> bytes:
    """A zip archive."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return made.getvalue()


def zstd(content: bytes) -> bytes:
    made = pa.BufferOutputStream()
    with pa.CompressedOutputStream(made, "zstd") as file:
        file.write(content)
    return made.getvalue().to_pybytes()


@pytest.fixture
def reader(tmp_path):
    """read_content(content, name, columns) -> (counts, records, rejects without their codes)."""

    def read_content(content, name="data.csv", columns=TWO, format=None, **more):
        path = content if isinstance(content, Path) else tmp_path / name
        if not isinstance(content, Path):
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        out, rejects = tmp_path / "out" / "records.parquet", tmp_path / "out" / "rejects.csv"
        counts = read.read_records(path, format, columns, out, rejects, "datasets.news", **more)
        assert pq.read_schema(out).names[0] == "row"
        with rejects.open(newline="") as file:
            rejected = list(csv.reader(file))
        assert rejected[0] == COLUMNS
        assert counts["rows"] == counts["kept"] + counts["rejected"]
        assert counts["rejected"] == len(rejected) - 1 == sum(counts["reasons"].values())
        assert counts["reasons"] == Counter(line[2] for line in rejected[1:])
        assert all(reason.startswith(Code(code).label) for _, _, code, reason, _ in rejected[1:])
        without_codes = [[*line[:2], *line[3:]] for line in rejected[1:]]
        return counts, pq.read_table(out).to_pylist(), without_codes

    return read_content


@pytest.fixture
def fails(reader, tmp_path):
    """The message of the UserError, after which no half-written output is left."""

    def message(*arguments, **more):
        with pytest.raises(UserError) as error:
            reader(*arguments, **more)
        # The list of a source without one usable record is kept for its owner.
        assert {path.name for path in (tmp_path / "out").glob("*")} <= {writer.KEPT_NAME}
        return str(error.value)

    return message


RECORDS = [
    {"row": 1, "label": "1", "text": 'He said "no",\n\tand left'},
    {"row": 2, "label": "2", "text": "Grüße 🎉 漢字\u2028 \u00a0"},
    {"row": 3, "label": "1", "text": ""},
]


def _as_file(format: str) -> bytes:
    plain = [{"label": r["label"], "text": r["text"]} for r in RECORDS]
    frame = pd.DataFrame(plain)
    if format in ("csv", "tsv"):
        return frame.to_csv(index=False, sep="," if format == "csv" else "\t").encode()
    if format == "json":
        return json.dumps(plain, ensure_ascii=False, indent=1).encode()
    if format == "jsonl":
        return "\n\n".join(json.dumps(r) for r in plain).encode()
    return frame.to_parquet(None, index=False)


@pytest.mark.parametrize("format", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_every_format_gives_the_same_records(format, reader):
    counts, records, _ = reader(_as_file(format), f"data.{format}")
    assert records == RECORDS
    assert counts == {"rows": 3, "kept": 3, "rejected": 0, "reasons": {}}
    assert reader(_as_file(format), "data.bin", format=format)[1] == RECORDS
    # An empty mapping takes every column under its own name.
    assert reader(_as_file(format), f"data.{format}", {})[1] == RECORDS


@pytest.mark.parametrize("format", ["csv", "json", "jsonl"])
@pytest.mark.parametrize("change", [lambda b: b"\xef\xbb\xbf" + b, lambda b: b])
def test_a_byte_order_mark_is_no_part_of_the_text(format, change, reader):
    assert reader(change(_as_file(format)), f"data.{format}")[1] == RECORDS


def test_line_ends_of_windows_and_old_macs(reader):
    for end in ("\r\n", "\r", "\n"):
        content = end.join(["label,text", "1,one", f'2,"two{end}lines"', "", "3,three"])
        _, records, rejects = reader(content)
        assert [r["text"] for r in records] == ["one", f"two{end}lines", "three"]
        assert rejects == []


def test_fields_are_mapped_in_order_and_columns_joined(reader):
    columns = {"text": ["title", "description"], "label": "label"}
    content = "label,title,description,more\n1,A,B,x\n2,,B,x\n3,A,  ,x\n4,,,x\n"
    _, records, _ = reader(content, columns=columns)
    assert list(records[0]) == ["row", "text", "label"]
    assert [r["text"] for r in records] == ["A B", "B", "A", ""]
    lines = '{"title": null, "description": "B", "label": 1}\n{"label": 2}\n'
    lines += '{"title": "A", "description": "B", "label": 3}'
    _, records, _ = reader(lines, "data.jsonl", columns)
    assert [r["text"] for r in records] == ["B", None, "A B"]


def test_values_become_text_or_are_rejected(reader):
    values = ["as it is ", 7, -3.0, 1e3, None, math.nan, 2**70, True, False, 0.5, 1e-7, -0.25]
    wrong = [[1], {"a": 1}, math.inf, "a\0b", "half \ud83d pair"]
    lines = "\n".join(json.dumps({"text": value}) for value in values + wrong)
    counts, records, rejects = reader(lines, "data.jsonl", {"text": "text"})
    assert [r["text"] for r in records] == [
        *("as it is ", "7", "-3", "1000", None, None, str(2**70)),
        *("true", "false", "0.5", "1e-07", "-0.25"),
    ]
    assert [row[:3] for row in rejects] == [
        ["13", "text", "wrong type (list)"],
        ["14", "text", "wrong type (dict)"],
        ["15", "text", "wrong type (infinite number)"],
        ["16", "text", "NUL byte"],
        ["17", "text", "not UTF-8"],
    ]
    assert rejects[0][3] == "[1]" and rejects[3][3] == "a\ufffdb"
    assert counts["reasons"] == {"wrong_type": 3, "nul_byte": 1, "not_utf8": 1}
    # Said once for a field, and nothing of numbers that are written as they were.
    assert counts["notes"] == ["`text`: 3 of type float, 2 of type bool read as text"]


def test_quarters_as_answers_are_all_kept(reader):
    """Not only the whole numbers among them."""
    lines = "\n".join(json.dumps({"q": f"{i} / 4", "output": i / 4}) for i in range(80))
    counts, records, _ = reader(lines, "d.jsonl", {})
    assert counts["kept"] == 80 and [r["output"] for r in records[4:7]] == ["1", "1.25", "1.5"]
    assert counts["notes"] == ["`output`: 60 of type float read as text"]


def test_hostile_csv_rows_are_rejected_and_the_rest_is_kept(reader):
    content = (
        b"label,text\n1,good\n2,caf\xe9\n3,nul\0byte\n4\n5,a,b\n"
        b'6,"a"b\n7,"x\ny"z\n8,un"quoted"\n9,"ok ""quoted"""\n'
    )
    _, records, rejects = reader(content)
    assert [(r["row"], r["label"]) for r in records] == [(1, "1"), (8, "8"), (9, "9")]
    assert records[1]["text"] == 'un"quoted"' and records[2]["text"] == 'ok "quoted"'
    assert rejects == [
        ["2", "text", "not UTF-8", "caf\ufffd"],
        ["3", "text", "NUL byte", "nul\ufffdbyte"],
        ["4", "", "wrong number of columns (1, not 2)", "4"],
        ["5", "", "wrong number of columns (3, not 2)", "5,a,b"],
        ["6", "", "bad quoting", '6,"a"b'],
        ["7", "", "bad quoting", 'lines 8-9: 7,"x'],
    ]


def test_only_fields_that_are_asked_for_are_judged(reader):
    content = b"label,text\n1,caf\xe9\n"
    assert reader(content, columns={"label": "label"})[1] == [{"row": 1, "label": "1"}]


def test_hostile_json_lines_are_rejected_and_the_rest_is_kept(reader):
    lines = [
        '{"text": "a"}',
        '{"text": ',
        "[1]",
        "null",
        "[" * 100_000,
        '{"text": "b"}\r',
        "9" * 5000,
    ]
    lines = "\n".join(lines).encode() + b'\n{"text": "\xff"}\n{"text": "last"}'
    _, records, rejects = reader(lines, "data.jsonl", {"text": "text"})
    assert [(r["row"], r["text"]) for r in records] == [(1, "a"), (6, "b"), (9, "last")]
    assert [row[2] for row in rejects] == [
        "not JSON",
        "not an object",
        "not an object",
        "not JSON",
        "not JSON",
        "not UTF-8",
    ]
    assert all(len(row[3]) <= 80 for row in rejects)


def test_a_json_list_may_hold_things_that_are_no_records(reader):
    _, records, rejects = reader('[{"text": "a"}, 3, null]', "data.json", {"text": "text"})
    assert [r["text"] for r in records] == ["a"]
    assert [row[:3] for row in rejects] == [["2", "", "not an object"], ["3", "", "not an object"]]


def test_columns_of_json_are_the_union_of_all_records(reader):
    lines = '{"a": 1}\n{"b": "x", "a": null}\n{"c": 2}'
    for name, content in (("d.jsonl", lines), ("d.json", f"[{lines.replace(chr(10), ',')}]")):
        _, records, _ = reader(content, name, {})
        assert records[1] == {"row": 2, "a": None, "b": "x", "c": None}


def test_parquet_columns_of_other_types(reader, tmp_path):
    second = pa.array([0, None, 90_061], pa.timestamp("s"))
    table = pa.table(
        {
            "text": pa.array(["a", None, "b"]).dictionary_encode(),
            "number": pa.array([1, 2, None], pa.int8()),
            "when": second,
            "ns": second.cast(pa.timestamp("ns")),
            "day": second.cast(pa.date32(), safe=False),
            "price": pa.array([Decimal("1.50"), None, Decimal("-20.00")]),
            "share": pa.array([0.1, 2.0, math.nan], pa.float32()),
            "raw": pa.array([b"caf\xc3\xa9", None, b""]),
            "sure": pa.array([True, False, None]),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    counts, records, rejects = reader(tmp_path / "t.parquet", columns={})
    one, two, three = records
    assert rejects == [] and one == {
        "row": 1, "text": "a", "number": "1", "when": "1970-01-01 00:00:00",
        "ns": "1970-01-01 00:00:00", "day": "1970-01-01", "price": "1.50", "share": "0.1",
        "raw": "café", "sure": "true",
    }  # fmt: skip
    assert two["share"] == "2" and two["when"] is None and two["sure"] == "false"
    assert three["when"] == "1970-01-02 01:01:01" and three["share"] is None
    assert "`day`: 2 of type date read as text" in counts["notes"]
    assert "`price`: 2 of type Decimal read as text" in counts["notes"]


USED = ["label", "text"]


@pytest.mark.parametrize("format", ["jsonl", "json"])
def test_a_column_that_no_task_needs_rejects_nothing(format, reader):
    rows = [{"text": f"t{i}", "label": i % 2, "meta": {"a": i}, "row": i} for i in range(60)]
    for i in (3, 9):
        rows[i]["tags"] = ["x", "y"]
    rows[4]["note"] = "a\0b"
    lines = [json.dumps(row) for row in rows]
    content = "\n".join(lines) if format == "jsonl" else f"[{','.join(lines)}]"
    counts, records, _ = reader(content, f"d.{format}", {}, used=USED)
    assert counts == {"rows": 60, "kept": 60, "rejected": 0, "reasons": {}}
    assert records[3] == {"row": 4, "text": "t3", "label": "1"} | dict.fromkeys(
        ("meta", "tags", "note")
    )
    # Where it is a field of a task, the row and the field are named.
    columns = {"text": "text", "label": "tags"}
    _, _, rejects = reader(content, f"d.{format}", columns, used=USED)
    assert [line[:3] for line in rejects] == [
        ["4", "label", "wrong type (list)"],
        ["10", "label", "wrong type (list)"],
    ]


def test_a_source_without_a_usable_record_keeps_the_list_of_them(fails, tmp_path):
    lines = "\n".join(json.dumps({"text": ["a", i]}) for i in range(3))
    message = fails(lines, "d.jsonl", {})
    assert "none of the 3 records" in message
    assert "row 1, `text`: wrong type (list): ['a', 0]. A template joins" in message
    kept = tmp_path / "out" / writer.KEPT_NAME
    assert message.endswith(str(kept))
    assert [line["row"] for line in csv.DictReader(kept.open())] == ["1", "2", "3"]


def test_a_column_in_other_case_is_taken_for_the_field_and_named(reader):
    counts, records, _ = reader("Text, Label,other\na,1,x\n", columns={}, used=USED)
    assert records == [{"row": 1, "text": "a", "label": "1", "other": "x"}]
    assert counts["notes"] == [
        "the column 'Text' is taken for `text`",
        "the column 'Label' is taken for `label`",
    ]
    # Not where there are two of them, or one of that very name.
    assert "Text" in reader("Text,TEXT,label\na,b,1\n", columns={}, used=USED)[1][0]
    assert reader("Text,text,label\na,b,1\n", columns={}, used=USED)[1][0]["text"] == "b"


def test_of_columns_of_one_name_only_those_that_a_task_needs_matter(reader, fails):
    content = "text,label,x,x\na,1,2,3\n"
    assert "2 columns called 'x'" in fails(content, columns={})
    assert "2 columns called 'text'" in fails("text,text\na,b\n", columns={}, used=USED)
    assert reader(content, columns={}, used=USED)[1] == [{"row": 1, "text": "a", "label": "1"}]


def test_parquet_columns_that_python_has_no_value_for(reader, tmp_path):
    columns = {
        "text": ["one", "two"],
        "instant": pa.array([10**18, 5], pa.timestamp("us")),
        "place": pa.array([1, 5], pa.timestamp("us", tz="No/Where")),
        "wait": pa.array([9 * 10**17, 5], pa.duration("s")),
    }
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    content = (tmp_path / "d.parquet").read_bytes()
    counts, records, _ = reader(content, "d.parquet", {}, used=("text",))
    assert [r["text"] for r in records] == ["one", "two"] and records[0]["instant"] is None
    counts, records, _ = reader(content, "d.parquet", {"text": "instant"})
    assert [r["row"] for r in records] == [2] and counts["reasons"] == {"wrong_type": 1}


def test_parquet_text_that_is_not_utf8(reader, tmp_path):
    raw = pa.array([b"ok", b"\xff\xfe", None], pa.binary())
    text = pa.StringArray.from_buffers(3, *raw.buffers()[1:], raw.buffers()[0])
    pq.write_table(pa.table({"text": text}), tmp_path / "t.parquet")
    _, records, rejects = reader(tmp_path / "t.parquet", columns={"text": "text"})
    assert [r["text"] for r in records] == ["ok", None]
    assert rejects[0][:3] == ["2", "text", "not UTF-8"]


def test_a_field_of_ten_megabytes_is_kept_and_one_of_twenty_rejected(reader):
    ten, twenty = "x" * 10_000_000, "y" * 20_000_000
    for name, content in (
        ("d.csv", f'text\n{ten}\n"{twenty}"\nlast\n'),
        ("d.jsonl", "\n".join(json.dumps({"text": t}) for t in (ten, twenty, "last"))),
    ):
        _, records, rejects = reader(content, name, {"text": "text"})
        assert [len(r["text"]) for r in records] == [10_000_000, 4]
        assert rejects == [["2", "text", "field too long", "y" * 79 + "…"]]
    assert csv.field_size_limit() == 131_072  # the process-wide limit is as it was


def test_more_records_than_a_batch(reader, monkeypatch):
    for module in (parquet, writer):
        monkeypatch.setattr(module, "BATCH", 7)
    content = "label,text\n" + "".join(f"{i},text {i}\n" for i in range(100))
    _, records, _ = reader(content)
    assert [r["row"] for r in records] == list(range(1, 101))
    assert records[99]["text"] == "text 99"


def test_memory_is_bounded_by_characters_as_well(reader, monkeypatch, tmp_path):
    monkeypatch.setattr(writer, "BUFFER", 50)
    content = "label,text\n" + "".join(f"{i},{'x' * 20}\n" for i in range(9))
    reader(content)
    assert pq.ParquetFile(tmp_path / "out" / "records.parquet").num_row_groups == 3


# ---------------------------------------------------------------- what stops


def test_a_missing_column_names_the_setting_the_columns_and_the_near_match(fails):
    for name, content in (
        ("d.csv", "label,text\n1,a\n"),
        ("d.tsv", "label\ttext\n1\ta\n"),
        ("d.jsonl", '{"label": 1}\n{"text": "a"}'),
        ("d.json", '[{"label": 1, "text": "a"}]'),
        ("d.parquet", pd.DataFrame(RECORDS)[["label", "text"]].to_parquet(None)),
    ):
        message = fails(content, name, {"label": "label", "text": ["label", "txt"]})
        assert message.startswith("datasets.news.columns.text: ")
        assert "did you mean 'text'?" in message and "label, text" in message
    assert "did you mean 'TEXT'?" in fails("label,TEXT\n1,a\n")


@pytest.mark.parametrize(
    ("name", "separator", "called"),
    [
        ("d.csv", ";", "semicolons"),
        ("d.csv", "\t", "tabs"),
        ("d.csv", "|", "'|'"),
        ("d.tsv", ",", "commas"),
        ("d.tsv", ";", "semicolons"),
    ],
)
def test_other_separators_are_recognized_and_named(name, separator, called, reader):
    rows = [["label", "text"], ["1", '"one, two; three\t| four"'], ["2", "five"]]
    content = "\n".join(separator.join(row) for row in rows)
    counts, records, _ = reader(content, name)
    assert [r["text"] for r in records] == ["one, two; three\t| four", "five"]
    assert counts["notes"] == [f"{name} is read as separated by {called}"]


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;;"])
def test_the_line_that_tells_excel_the_separator_is_no_header(line, reader):
    counts, records, _ = reader(f"\ufeff{line}\r\ntext;label\r\na,b;1\r\nc;2;3\r\n", "d.csv")
    assert [(r["row"], r["text"], r["label"]) for r in records] == [(1, "a,b", "1")]
    assert counts["rejected"] == 1
    assert counts["notes"] == ["d.csv is read as separated by semicolons, as its first line says"]


def test_a_separator_inside_the_texts_is_none(reader):
    for content in ("text\na;b\nc\n", "text;\na;b\nc\n", "label,text\n1,a;b\n2,c;d;e\n"):
        counts, records, _ = reader(content, columns={})
        assert "notes" not in counts and records[0]["row"] == 1
    # Most rows are wrong, but by no other separator are they right.
    counts, _, _ = reader("label,text\n1,a, b\n2,c, d\n3,e\n")
    assert counts["kept"] == 1 and counts["reasons"] == {Code.WRONG_COLUMNS: 2}


@pytest.mark.parametrize("broken", ["a; b; c", "only text", 'a;"b" c'])
def test_a_broken_record_hides_no_separator(broken, reader):
    rows = ["label;text", *(f"{n};one, two {n}" for n in range(4)), broken]
    counts, records, rejects = reader("\n".join(rows))
    assert [r["text"] for r in records] == [f"one, two {n}" for n in range(4)]
    assert [line[0] for line in rejects] == ["5"]
    assert counts["notes"] == ["data.csv is read as separated by semicolons"]


@pytest.mark.parametrize("separator", [",", ";"])
def test_spaces_before_quotation_marks_are_no_text(separator, reader):
    rows = [["label", "text"], ['"1"', '"one, two; three"'], ['"2"', "plain"], ['"3"', '"a ""b"""']]
    content = "\n".join(f"{separator}  ".join(row) for row in rows)
    counts, records, _ = reader(content)
    assert [r["text"].strip() for r in records] == ["one, two; three", "plain", 'a "b"']
    assert counts["notes"][-1] == "data.csv is read without the spaces before quotation marks"
    # What is quoted in part of a text is text.
    counts, records, _ = reader('label,text\n1, "a" b\n2, c\n')
    assert [r["text"] for r in records] == [' "a" b', " c"] and "notes" not in counts


def test_a_name_that_is_repeated_in_an_object_has_no_value(reader):
    good, bad = '{"text": "a", "label": 1}', '{"text": "b", "label": 1, "text": "c"}'
    for name, content in (("d.jsonl", f"{good}\n{bad}"), ("d.json", f"{good}\n{bad},")):
        _, records, rejects = reader(content, name)
        assert [r["text"] for r in records] == ["a"]
        assert rejects[0][:3] == ["2", "", "repeated name 'text'"]


def test_a_name_that_is_repeated_in_a_list_of_objects_stops_reading(fails):
    message = fails('[{"text": "a"}, {"text": "b", "text": "c"}]', "d.json")
    assert """d.json: an object has the name 'text' twice: {"text": "c"}; which""" in message


def test_a_header_that_stands_again_is_no_record(reader):
    # As in files that were joined by `cat`.
    _, records, rejects = reader("label,text\n1,text\nlabel, text\nlabel,x\n")
    assert [r["row"] for r in records] == [1, 3]
    assert rejects == [["2", "", "repeated header", "label, text"]]


TABLE = [{"label": "1", "text": "a, b"}, {"label": "0", "text": "c },\n ]"}]
BY_COLUMN = {name: [row[name] for row in TABLE] for name in TABLE[0]}
SHAPES = {
    "one list": json.dumps(TABLE),
    "a printed list": json.dumps(TABLE, indent=2),
    "a list, a line each": "[\n" + ",\n".join(map(json.dumps, TABLE)) + "\n]\n",
    "commas too many": "[\n" + "".join(json.dumps(row) + ",\n" for row in TABLE) + "]",
    "lines": "\n".join(map(json.dumps, TABLE)),
    "lines with commas": "".join(json.dumps(row) + ",\n" for row in TABLE),
    "printed objects": "\n".join(json.dumps(row, indent=4) for row in TABLE),
    "printed objects with commas": ",\n".join(json.dumps(row, indent=4) for row in TABLE),
    "pandas": json.dumps(
        {name: dict(zip("01", values, strict=True)) for name, values in BY_COLUMN.items()}, indent=1
    ),
    "pandas, index": json.dumps(dict(zip("01", TABLE, strict=True)), indent=1),
    "pandas, split": json.dumps(
        {"columns": ["label", "text"], "index": [0, 1], "data": [[*r.values()] for r in TABLE]},
        indent=1,
    ),
    "pandas, list": json.dumps(BY_COLUMN, indent=1),
    "a list inside": json.dumps({"version": 1, "data": TABLE}, indent=1),
}


@pytest.mark.parametrize("format", ["json", "jsonl"])
@pytest.mark.parametrize("shape", SHAPES)
def test_json_in_every_shape_gives_the_same_records(shape, format, reader):
    _, records, rejects = reader(SHAPES[shape], f"d.{format}", {})
    assert records == [{"row": i, **row} for i, row in enumerate(TABLE, 1)] and rejects == []


def test_a_column_of_objects_is_no_table_that_the_others_stand_beside(reader):
    content = json.dumps({"q": ["one", "two"], "a": [{"text": "x"}, {"text": "y"}]})
    _, records, _ = reader(content, "d.json", {"text": "q", "label": "a.text"})
    assert [(r["text"], r["label"]) for r in records] == [("one", "x"), ("two", "y")]
    _, records, _ = reader('{"errors": ["none"], "data": [{"text": "x"}]}', "d.json", {})
    assert records == [{"row": 1, "text": "x"}]


def test_of_a_broken_list_the_lines_that_are_right_are_read(reader):
    content = '[\n{"text": "a"},\n{"text": "b"\n{"text": "c"},\n]'
    _, records, rejects = reader(content, "d.jsonl", {})
    assert [r["text"] for r in records] == ["a", "c"]
    assert [line[:3] for line in rejects] == [["2", "", "not JSON"]]
    printed = '{\n "text": "a"\n}\n{\n "text": \n}\n{\n "text": "c"\n}\n'
    _, records, rejects = reader(printed, "d.jsonl", {})
    assert [r["text"] for r in records] == ["a", "c"] and rejects[0][:3] == ["2", "", "not JSON"]


# ---------------------------------------------------------------- fields

NESTED = [
    {"title": "One", "year": 1999, "body": "first", "tags": ["a", "b"], "n": {"x": {"y": "deep"}}},
    {"title": "Two", "year": None, "body": "second", "tags": [], "n": {"x": None}},
    {"title": None, "year": None, "body": None, "tags": None, "n": None},
]


def as_lines(rows):
    return "\n".join(map(json.dumps, rows))


def fields_of(reader, tmp_path, asked):
    """The field in each record of NESTED, from jsonl and from parquet."""
    _, records, _ = reader(as_lines(NESTED), "d.jsonl", {"text": asked})
    pq.write_table(pa.Table.from_pylist(NESTED), tmp_path / "n.parquet")
    _, same, _ = reader(tmp_path / "n.parquet", columns={"text": asked})
    assert records == same
    return [record["text"] for record in records]


def test_a_template_joins_columns_with_words_between(reader, tmp_path):
    asked = "{title} ({year}): {body} {{x}}"
    texts = fields_of(reader, tmp_path, asked)
    assert texts == ["One (1999): first {x}", "Two (): second {x}", None]


def test_what_stands_in_a_record_is_no_template(reader):
    columns = {"text": "<{a}>"}
    assert reader('a\n"{b} {{"\n', columns=columns)[1] == [{"row": 1, "text": "<{b} {{>"}]


def test_a_path_names_a_value_inside_a_column(reader, tmp_path):
    assert fields_of(reader, tmp_path, "n.x.y") == ["deep", None, None]
    assert fields_of(reader, tmp_path, "tags.1") == ["b", None, None]
    assert fields_of(reader, tmp_path, ["title", "n.x.y"]) == ["One deep", "Two", None]
    assert fields_of(reader, tmp_path, "{n.x.y}!") == ["deep!", None, None]
    # The longest name that is a column counts.
    assert reader("a.b,a\n1,2\n", columns={"text": "a.b"})[1] == [{"row": 1, "text": "1"}]


def test_a_path_that_leads_nowhere_is_said(reader, tmp_path):
    content = as_lines([{"text": "one", "meta": {"title": "t"}}])
    columns = {"text": "text", "input": "meta.titel", "title": "meta.title"}
    counts, records, _ = reader(content, "d.jsonl", columns)
    assert records[0] == {"row": 1, "text": "one", "input": None, "title": "t"}
    assert counts["notes"] == ["`input`: no record has a value there"]


def test_a_list_is_joined_where_a_template_asks_for_it(reader, tmp_path):
    assert fields_of(reader, tmp_path, "{tags}") == ["a, b", None, None]
    rows = [{"e": [{"name": "x"}, {"name": 2}]}, {"e": [{"name": [1]}]}]
    _, records, rejects = reader(as_lines(rows), "d.jsonl", {"text": "{e.name}"})
    assert [r["text"] for r in records] == ["x, 2"]
    assert rejects[0][:3] == ["2", "text", "wrong type (list)"]


def test_a_column_of_a_template_or_a_path_that_is_not_there_is_named(fails):
    for asked in ("{titel}: {label}", "titel.x", ["label", "titel"]):
        message = fails("label,title\n1,a\n", columns={"text": asked})
        assert message.startswith("datasets.news.columns.text: ")
        assert "no column 'titel" in message and "label, title" in message


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("d.csv", "", "holds no record"),
        ("d.csv", " \n\n ", "holds no record"),
        ("d.csv", "label,text\n", "holds no record"),
        ("d.json", "[]", "no readable record"),
        ("d.jsonl", "{\n", "no readable record"),
        (
            "d.jsonl",
            "{'text': 1}\n",
            "row 1: not JSON: {'text': 1}. Correct the rows: one object",
        ),
        ("d.json", '["a", "b"]', "no readable record; row 1: not an object: a. A record is"),
        ("d.jsonl", "\n\n", "holds no record"),
        ("d.parquet", pd.DataFrame({"label": [], "text": []}).to_parquet(None), "holds no record"),
        ("d.csv", "label,text\n1\n2\n", "none of the 2 records"),
        ("d.csv", b"\xff\xfel\0a\0", "UTF-16"),
        ("d.jsonl", '{"text": "a"}'.encode("utf-16-le"), "UTF-16"),
        ("d.csv", "label,text".encode("utf-16-be"), "UTF-16"),
        ("d.csv", b"\x1f\x8b\x08", "d.csv cannot be read: Compressed file ended"),
        (
            "d.csv.gz",
            gzip.compress(b"label,text\n" * 99, mtime=0)[:-9],
            "cannot be read: Compressed file",
        ),
        ("d.csv", b"PK\x03\x04...", "broken zip archive"),
        ("d.zip", archive({"readme.md": "no records"}), "holds no file that can be read (.csv, "),
        ("d.csv", archive({"xl/workbook.xml": ""}), "is a spreadsheet; set format: xlsx"),
        (
            "d.xlsx",
            archive({"xl/workbook.xml": "<workbook/>"}),
            "as a spreadsheet: it has no sheet",
        ),
        ("d.xlsx", b"label,text", "cannot be read as a spreadsheet"),
        ("d.xls", b"\xd0\xcf\x11\xe0...", "suffix '.xls'"),
        ("d.csv", b"\xd0\xcf\x11\xe0...", "old spreadsheet"),
        ("d.csv", b"PAR1...", "format: parquet"),
        ("d.csv", "\n<!DOCTYPE html><html>", "web page"),
        ("d.json", '{"text": 1}', "format: jsonl"),
        ("d.json", '{"data": [1], "other": 2}', "under 'data'"),
        ("d.json", '{"a": [1], "b": [1, 2]}', "of columns that differ in length (a 1, b 2)"),
        ("d.parquet", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("d.json", '[{"text": 1}, {"text" 2}]', "line 1"),
        ("d.json", "[" * 100_000, "not valid JSON"),
        ("d.parquet", "label,text\n1,a\n", "cannot be read as Parquet"),
        ("d.parquet", b"PAR1" + b"\0" * 100 + b"PAR1", "cannot be read as Parquet"),
        ("d.txt", "some text", "format: txt"),
        ("d", "some text", "csv, tsv, json, jsonl, parquet"),
        ("d.csv", "text,label,text\n1,2,3\n", "2 columns called 'text'"),
        ("d.csv", b"label,te\xe9xt\n1,2\n", "column 2"),
        ("d.csv", 'label,"te"xt\n1,2\n', "badly quoted"),
    ],
)
def test_a_file_that_cannot_be_right_stops_with_a_reason(name, content, expected, fails):
    message = fails(content, name)
    assert expected in message
    assert message.startswith(("datasets.news: ", "datasets.news."))


def test_folders_missing_files_and_bad_formats(fails, tmp_path):
    assert "is a folder without" in fails(tmp_path, format="csv")
    assert "No such file" in fails(tmp_path / "none.csv")
    assert "'xml' is not a known format" in fails("a", format="xml")


def test_a_field_cannot_be_called_row(fails):
    for columns in ({}, {"row": "text"}):
        message = fails("row,text\n5,a\n", columns=columns)
        assert message.startswith("datasets.news.columns: ") and "'row'" in message
    assert "at least one column" in fails("label,text\n1,a\n", columns={"text": []})


def test_a_column_without_a_name(reader):
    assert reader(",text\n0,a\n", columns={})[1] == [{"row": 1, "column_1": "0", "text": "a"}]


def test_an_unclosed_quote_is_told_with_its_row(fails):
    good = "".join(f"{i},text\n" for i in range(50))
    message = fails(f'label,text\n{good}7,"never closed\n{good}')
    assert "row 51, which begins in line 52," in message and "end of the file" in message
    assert '7,"never closed' in message
    lots = "".join(f"{i},text\n" for i in range(20_000))
    assert "has not ended after 10,000 lines" in fails(f'label,text\n7,"open\n{lots}')
    # Ended by some later quotation mark, having swallowed every record in between.
    message = fails(f'label,text\n7,"open\n{good * 3}8,"closed" here\n')
    assert "row 1, which begins in line 2, runs over 152 lines" in message
    assert "the header" in fails('"label,text\n1,a\n')


def test_a_record_without_an_end_does_not_fill_the_memory(fails, monkeypatch):
    monkeypatch.setattr(lines, "RECORD_LIMIT", 1000)
    monkeypatch.setattr(lines, "RECORD_LINES", 10**9)
    assert "begins in line 2" in fails("label,text\n1," + "x" * 2000)
    assert "longer than" in fails('label,text\n1,"' + "x\n" * 2000)
    assert "longer than" in fails('{"text": "' + "x" * 2000 + '"}', "d.jsonl", {"text": "text"})


def test_too_many_columns_to_take_them_all(fails, reader):
    wide = json.dumps({f"k{i}": i for i in range(1500)})
    assert "more than 1000 columns" in fails(wide, "d.jsonl", {})
    assert reader(wide, "d.jsonl", {"a": "k7"})[1] == [{"row": 1, "a": "7"}]


# ---------------------------------------------------------------- files

PACKED = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}


@pytest.mark.parametrize("pack", PACKED)
@pytest.mark.parametrize("format", ["csv", "json", "jsonl", "parquet"])
def test_a_compressed_file_is_read_as_the_file_in_it(format, pack, reader):
    content = PACKED[pack](_as_file(format))
    assert reader(content, f"data.{format}{pack}")[1] == RECORDS
    # Known by its content, whatever it is called.
    assert reader(content, f"data.{format}")[1] == RECORDS


def test_a_zip_archive_is_the_files_in_it(reader):
    parts = {f"parts/{format}.{format}": _as_file(format) for format in ("parquet", "csv", "jsonl")}
    content = archive(parts | {"README.md": "x", "__MACOSX/._a.csv": "x", ".b.csv": "x"})
    counts, records, _ = reader(content, "d.zip")
    assert records == [
        {"row": 3 * part + i, "label": r["label"], "text": r["text"]}
        for part in range(3)
        for i, r in enumerate(RECORDS, 1)
    ]
    assert counts["files"] == {"csv.csv": 3, "jsonl.jsonl": 3, "parquet.parquet": 3}
    assert counts["notes"] == ["of d.zip README.md is not read"]


def test_records_of_several_files_follow_each_other(tmp_path, reader):
    parts = {
        "a/part-2.csv": "label,text\n1,one\n2\n",
        "a/part-10.jsonl": '{"text": "two", "more": 1}\n',
        "b.csv.gz": gzip.compress(b"Text;label\nthree;3\n"),
    }
    for name, content in parts.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    paths = [Path(path) for path in formats.source_files(str(tmp_path / "in"))]
    assert [str(path.relative_to(tmp_path / "in")) for path in paths] == list(parts)
    out, rejects = tmp_path / "r.parquet", tmp_path / "x.csv"
    counts = read.read_records(paths, None, {}, out, rejects, "datasets.d")
    assert pq.read_table(out).to_pylist() == [
        {"row": 1, "label": "1", "text": "one", "more": None},
        {"row": 3, "label": None, "text": "two", "more": "1"},
        {"row": 4, "label": "3", "text": "three", "more": None},
    ]
    assert pd.read_csv(rejects)["row"].tolist() == [2]
    assert counts["files"] == dict(zip(parts, (2, 1, 1), strict=True))
    assert counts["notes"] == [
        "b.csv.gz is read as separated by semicolons",
        "a/part-2.csv has no column 'more'",
        "a/part-10.jsonl has no column 'label'",
        "b.csv.gz has no column 'more'",
    ]


def test_many_files_take_no_longer_than_their_columns():
    """In steps of the square of all columns these were 40 million, each several times over."""

    class Wide:
        def names(self):
            return [f"column {number}" for number in range(20)]

    begin = time.monotonic()
    source = Joined([File(Path(f"d/{n}.jsonl"), "d") for n in range(1000)], lambda file: Wide())
    assert source.names() == Wide().names() and source.notes == []
    assert time.monotonic() - begin < 20


def test_a_source_may_be_a_file_a_folder_a_pattern_or_several(tmp_path):
    for name in ("n.txt", "s/p10.csv", "s/p9.csv.gz", "s/x/p1.csv", "s/.hidden.csv", "s/note.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def files(*paths):
        return formats.source_files(paths, tmp_path)

    assert files("s") == files("s/") == ["s/p9.csv.gz", "s/p10.csv", "s/x/p1.csv"]
    assert files("s/*.csv*") == ["s/p9.csv.gz", "s/p10.csv"]
    assert files("**/*.csv") == ["s/p10.csv", "s/x/p1.csv"]
    assert files("s/x/p1.csv", "s/p10.csv", "s/*.csv") == ["s/x/p1.csv", "s/p10.csv"]
    assert formats.left_out("s", tmp_path) == ["of the folder s note.txt is not read"]
    assert formats.left_out(["s/p10.csv", "n.txt", "none"], tmp_path) == []
    # Without a file of records those of text.
    assert files(".") == ["./s/p9.csv.gz", "./s/p10.csv", "./s/x/p1.csv"]
    (tmp_path / "t").mkdir()
    (tmp_path / "t/b.txt").touch()
    assert files("t") == ["t/b.txt"] and formats.is_text(files("t"))
    assert not formats.is_text(files("s")) and formats.is_text(["a.txt.gz", "b.text"])
    assert files("none", "*.none") == ["none", "*.none"]
    # What messages and manifests call several files.
    paths = ["in/s/p9.csv", "in/s/p10.csv"]
    assert formats.below_shared_folder(paths) == ["p9.csv", "p10.csv"]
    assert formats.below_shared_folder([]) == [] and formats.below_shared_folder(paths[:1])
    assert formats.below_shared_folder(["in/a.csv", "/b/a.csv"]) == ["in/a.csv", "/b/a.csv"]
    # A file whose name looks like a pattern is that file.
    (tmp_path / "a[1].csv").touch()
    assert files("a[1].csv") == ["a[1].csv"]


# ---------------------------------------------------------------- Arrow, and what datasets writes


def columns_of(names: list[str]) -> pa.Table:
    """Texts with the indices of classes, as datasets keeps them. names: of the classes."""
    features = {"text": {"dtype": "string"}, "label": {"names": names, "_type": "ClassLabel"}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"text": ["text 0", "text 1", "text 2"], "label": [0, 1, 0]})
    return table.replace_schema_metadata(about)


def save_to_disk(folder: Path, form) -> Path:
    """The files that `save_to_disk` of datasets writes; those of JSON are about the other."""
    folder.mkdir(parents=True)
    for name in ("dataset_info.json", "state.json"):
        (folder / name).write_text('{"a": 1}')
    table = columns_of(["bad", "good"])
    for name in ("data-00000-of-00001.arrow", "cache-0123.arrow"):
        with form(folder / name, table.schema) as out:
            out.write_table(table, max_chunksize=2)
    return folder


@pytest.mark.parametrize("form", [pa.ipc.new_stream, pa.ipc.new_file])
def test_a_folder_of_save_to_disk_is_its_records_with_the_names_of_classes(form, reader, tmp_path):
    folder = save_to_disk(tmp_path / "saved", form)
    (path,) = formats.source_files("saved", tmp_path)
    counts, records, _ = reader(tmp_path / path)
    assert [r["text"] for r in records] == ["text 0", "text 1", "text 2"]
    assert counts["classes"] == {"label": ["bad", "good"]}
    assert formats.left_out("saved", tmp_path) == [
        "of the folder saved cache-0123.arrow, dataset_info.json, state.json are not read"
    ]
    pq.write_table(columns_of(["bad", "good"]), folder / "same.parquet")
    assert reader(folder / "same.parquet")[0]["classes"] == counts["classes"]


def test_what_is_no_arrow_file_is_refused(fails):
    assert "d.arrow cannot be read as Arrow" in fails("text\na\n", "d.arrow")


def test_the_names_of_classes_are_those_of_all_files_or_none(tmp_path):
    def facts_of(*lists):
        files = [tmp_path / f"{n}.parquet" for n in range(len(lists))]
        for file, names in zip(files, lists, strict=True):
            table = columns_of(names or [])
            pq.write_table(table if names else table.replace_schema_metadata(None), file)
        return read.read_records(files, None, {}, tmp_path / "r.parquet", tmp_path / "r.csv")

    assert facts_of(["bad", "good"], ["bad", "good"])["classes"] == {"label": ["bad", "good"]}
    for others in (["good", "bad"], None):
        facts = facts_of(["bad", "good"], others)
        assert "classes" not in facts
        assert "'label': not all files name its classes alike" in facts["notes"][0]


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        (["train-00000-of-00001.csv", "my_test.csv"], "train: train-00000-of-00001.csv, test: my"),
        (["dev/a.csv", "test/a.csv", "training/a.csv"], "train: training/a.csv, validation: dev"),
        (["train-1.csv", "train-2.csv"], ""),
        (["contest.csv", "latest.csv"], ""),
    ],
)
def test_files_that_are_called_after_splits_are_said_to_be_joined(names, listed, tmp_path):
    files = [tmp_path / name for name in names]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("text\na\n")
    out = tmp_path / "r.parquet", tmp_path / "r.csv"
    notes = read.read_records(files, None, {}, *out).get("notes", [])
    assert (listed in notes[0] and "path: {train:" in notes[0]) if listed else notes == []
    splits = ["train", *["test"] * (len(files) - 1)]
    assert "notes" not in read.read_records(files, None, {}, *out, splits=splits)


# ---------------------------------------------------------------- spreadsheets

SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def workbook(rows: str, date1904: bool = False, more: str = "") -> bytes:
    """An xlsx file with a sheet of these rows, which are XML, and more sheets behind it."""
    settings = f'<workbookPr date1904="{int(date1904)}"/>'
    sheets = '<sheets><sheet name="a" sheetId="1" r:id="rId7"/>' + more + "</sheets>"
    styles = (
        '<numFmts><numFmt numFmtId="164" formatCode="yyyy\\-mm"/>'
        '<numFmt numFmtId="165" formatCode="0.0&quot; days&quot;"/></numFmts>'
        '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="165"/>'
        "</cellXfs>"
    )
    texts = "<si><t>text</t></si><si><r><t>two </t></r><r><t>runs</t></r><rPh><t>x</t></rPh></si>"
    return archive(
        {
            "xl/workbook.xml": f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}">{settings}{sheets}'
            "</workbook>",
            "xl/_rels/workbook.xml.rels": '<Relationships><Relationship Id="rId7" '
            'Target="worksheets/sheet1.xml"/></Relationships>',
            "xl/styles.xml": f'<styleSheet xmlns="{SHEET}">{styles}</styleSheet>',
            "xl/sharedStrings.xml": f'<sst xmlns="{SHEET}">{texts}</sst>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{SHEET}"><sheetData>{rows}</sheetData>'
            "</worksheet>",
        }
    )


HEADER = (
    '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t>label</t></is></c>'
    '<c r="D1" t="str"><v>when</v></c></row>'
)


def test_the_first_sheet_of_a_spreadsheet(reader):
    rows = (
        '<row r="2"><c r="A2" t="s"><v>1</v></c><c r="B2" t="b"><v>1</v></c>'
        '<c r="D2" s="1"><v>45292</v></c></row><row r="3"><c r="A3"/></row>'
        '<row r="4"><c r="A4"><v>0.25</v></c><c r="B4" t="e"><v>#N/A</v></c>'
        '<c r="D4" s="2"><v>45292.75</v></c></row>'
        '<row r="5"><c r="A5" s="3"><v>12</v></c><c r="B5"><f>1+1</f><v>2</v></c></row>'
    )
    counts, records, _ = reader(workbook(HEADER + rows), "d.xlsx", {})
    assert records == [
        {"row": 1, "text": "two runs", "label": "true", "column_3": None, "when": "2024-01-01"},
        {"row": 2, "text": "0.25", "label": None, "column_3": None, "when": "2024-01-01 18:00:00"},
        {"row": 3, "text": "12", "label": "2", "column_3": None, "when": None},
    ]
    assert "notes" not in counts or "sheet" not in str(counts["notes"])
    header = HEADER.replace("<v>when</v>", "<v>2024</v>").replace('t="str"', 't="n"')
    counts, records, _ = reader(workbook(header + rows, more='<sheet name="b"/>'), "d.xlsx", {})
    assert "2024" in records[0]
    assert counts["notes"][0] == (
        "of d.xlsx the sheet 'a' is read, not 'b'; save another one as a file of its own to read it"
    )
    # What XML cannot hold, and line breaks that were pasted, stand there as their codes.
    escaped = "a_x000D_ _x005F_x000D_ _x000d_ x000D_ _x12_"
    text = f'<row r="2"><c r="A2" t="inlineStr"><is><t>{escaped}</t></is></c></row>'
    _, records, _ = reader(workbook(HEADER + text), "d.xlsx", {"text": "text"})
    assert records[0]["text"] == "a\r _x000D_ \r x000D_ _x12_"
    sheets = "".join(f'<sheet name="{name}"/>' for name in "bcdefgh")
    notes = reader(workbook(header + rows, more=sheets), "d.xlsx", {})[0]["notes"]
    assert "not 'b', 'c', 'd', 'e', 'f' and 2 more; save" in notes[0]
    # Beside other files, in an archive, and counted from 1904.
    content = archive({"a.xlsx": workbook(HEADER + rows, date1904=True), "b.csv": "text\nlast\n"})
    counts, records, _ = reader(content, "d.zip", {"text": "text", "when": "when"})
    assert [r["when"] for r in records] == ["2028-01-02", "2028-01-02 18:00:00", None, None]
    assert counts["files"] == {"a.xlsx": 3, "b.csv": 1}


# ---------------------------------------------------------------- plain text


def _read_text(tmp_path, content):
    path = tmp_path / "book.txt"
    path.write_bytes(content)
    out, rejects = tmp_path / "records.parquet", tmp_path / "rejects.csv"
    counts = read.read_text(path, out, rejects, "datasets.book")
    return counts, pq.read_table(out).to_pylist(), pd.read_csv(rejects)


def test_paragraphs_keep_their_line_breaks(tmp_path):
    content = b"\xef\xbb\xbf\n\nChapter 1 \r\n0\r\n \t\r\n  A verse,\n  broken.\n\n\n\nlast"
    counts, records, rejects = _read_text(tmp_path, content)
    assert [r["text"] for r in records] == ["Chapter 1\n0", "  A verse,\n  broken.", "last"]
    assert [r["row"] for r in records] == [1, 2, 3]
    assert counts == {"rows": 3, "kept": 3, "rejected": 0, "reasons": {}}
    assert len(rejects) == 0


def test_paragraphs_that_cannot_be_read_are_counted(tmp_path):
    content = b"good\n\nbad \xe9\n\nn\0l\n\ngood again"
    counts, records, rejects = _read_text(tmp_path, content)
    assert [r["row"] for r in records] == [1, 4]
    assert counts["reasons"] == {"not_utf8": 1, "nul_byte": 1}
    assert rejects["row"].tolist() == [2, 3]


def test_a_long_paragraph_of_many_lines_is_no_unclosed_quote(tmp_path):
    _, records, _ = _read_text(tmp_path, b"line\n" * 20_000)
    assert len(records) == 1 and records[0]["text"].count("\n") == 19_999


def test_of_several_texts_each_is_a_document(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/b.txt").write_text("one\n\ntwo")
    (tmp_path / "in/a.txt.gz").write_bytes(gzip.compress(b"three"))
    paths = [tmp_path / "in/b.txt", tmp_path / "in/a.txt.gz"]
    out, rejects = tmp_path / "records.parquet", tmp_path / "rejects.csv"
    counts = read.read_text(paths, out, rejects, "datasets.book")
    assert pq.read_table(out).to_pylist() == [
        {"row": 1, "text": "one", "document": "b.txt"},
        {"row": 2, "text": "two", "document": "b.txt"},
        {"row": 3, "text": "three", "document": "a.txt.gz"},
    ]
    assert counts["files"] == {"b.txt": 2, "a.txt.gz": 1}


def test_a_text_without_a_paragraph_stops(tmp_path):
    for content in (b"", b"\n \n", b"\xff\xfe", b"\xe9\n"):
        with pytest.raises(UserError, match=r"datasets\.book: "):
            _read_text(tmp_path, content)
    with pytest.raises(UserError, match="is a folder without"):
        read.read_text(tmp_path, tmp_path / "a", tmp_path / "b", "datasets.book")


# ---------------------------------------------------------------- properties

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    pairs=st.lists(st.tuples(_TEXT, _TEXT), min_size=1, max_size=30),
    delimiter=st.sampled_from([",", "\t"]),
)
def test_any_text_survives_csv(pairs, delimiter, reader, tmp_path):
    path = tmp_path / ("d.csv" if delimiter == "," else "d.tsv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerows([("label", "text"), *pairs])
    _, records, _ = reader(path)
    assert [(r["label"], r["text"]) for r in records] == pairs


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    content=st.one_of(st.binary(max_size=200), st.text('ab,\t\n\r"{}[]:0\\').map(str.encode)),
    format=st.sampled_from(["csv", "tsv", "json", "jsonl", "parquet"]),
)
def test_any_bytes_are_read_or_refused(content, format, reader):
    try:
        counts, records, _ = reader(content, "d", {}, format)
    except UserError:
        return
    assert len(records) == counts["kept"] >= 1


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(st.text()), st.none(), st.text(string.whitespace)))
def test_an_excerpt_is_short_and_printable(value):
    shown = excerpt(value)
    assert len(shown) <= 80 and (shown.isprintable())


def test_excerpts():
    assert excerpt("  a\n\tb  ") == "a b"
    assert excerpt("x" * 80) == "x" * 80
    assert excerpt("x" * 81) == "x" * 79 + "…"
    assert excerpt(" " * 1000 + "end") == "end"
    assert excerpt(None) == ""


# ---------------------------------------------------------------- real data


@pytest.mark.skipif(not DATA.is_dir(), reason="the extracts of published data are not here")
def test_real_data(reader, tmp_path):
    columns = {"text": ["title", "description"], "label": "label"}
    counts, records, _ = reader(DATA / "ag_news.csv", columns=columns)
    assert counts["kept"] == counts["rows"] == 5600
    assert {r["label"] for r in records} == {"0", "1", "2", "3"}
    assert all(r["text"].strip() for r in records)

    counts, records, _ = reader(DATA / "alpaca.json", columns={})
    assert counts["kept"] == counts["rows"] == 800
    assert list(records[0]) == ["row", "instruction", "input", "output"]
    raw = json.loads((DATA / "alpaca.json").read_text(encoding="utf-8"))
    assert [{k: r[k] for k in raw[0]} for r in records] == raw

    out = tmp_path / "text.parquet"
    counts = read.read_text(DATA / "frankenstein.txt", out, tmp_path / "r.csv", "datasets.book")
    words = (DATA / "frankenstein.txt").read_text(encoding="utf-8").split()
    texts = pq.read_table(out)["text"].to_pylist()
    assert " ".join(texts).split() == words and counts["rejected"] == 0

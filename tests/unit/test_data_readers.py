"""Records in: every format, and what may be wrong with a file or a row."""

import csv
import json
import math
import string
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltatune.core.errors import UserError
from deltatune.core.text import excerpt
from deltatune.data.readers import lines, parquet, read, writer
from deltatune.data.reasons import COLUMNS, Code
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
TWO = {"label": "label", "text": "text"}


@pytest.fixture
def reader(tmp_path):
    """read_content(content, name, columns) -> (counts, records, rejects without their codes)."""

    def read_content(content, name="data.csv", columns=TWO, format=None):
        path = content if isinstance(content, Path) else tmp_path / name
        if not isinstance(content, Path):
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        out, rejects = tmp_path / "out" / "records.parquet", tmp_path / "out" / "rejects.csv"
        counts = read.read_records(path, format, columns, out, rejects, "datasets.news")
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
        assert not list((tmp_path / "out").glob("*"))
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
    values = ["as it is ", 7, -3.0, 1e3, None, math.nan, 2**70]
    wrong = [True, [1], {"a": 1}, 0.5, math.inf, "a\0b", "half \ud83d pair"]
    lines = "\n".join(json.dumps({"text": value}) for value in values + wrong)
    counts, records, rejects = reader(lines, "data.jsonl", {"text": "text"})
    assert [r["text"] for r in records] == [
        "as it is ",
        "7",
        "-3",
        "1000",
        None,
        None,
        str(2**70),
    ]
    assert [row[:3] for row in rejects] == [
        ["8", "text", "wrong type (bool)"],
        ["9", "text", "wrong type (list)"],
        ["10", "text", "wrong type (dict)"],
        ["11", "text", "wrong type (float)"],
        ["12", "text", "wrong type (float)"],
        ["13", "text", "NUL byte"],
        ["14", "text", "not UTF-8"],
    ]
    assert rejects[1][3] == "[1]" and rejects[5][3] == "a\ufffdb"
    assert counts["reasons"] == {"wrong_type": 5, "nul_byte": 1, "not_utf8": 1}


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
        ["4", "", "wrong number of columns", "4"],
        ["5", "", "wrong number of columns", "5,a,b"],
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
    table = pa.table(
        {
            "text": pa.array(["a", None, "b"]).dictionary_encode(),
            "number": pa.array([1, 2, None], pa.int8()),
            "when": pa.array([0, None, 0], pa.timestamp("s")),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    _, records, rejects = reader(tmp_path / "t.parquet", columns={})
    assert records == [{"row": 2, "text": None, "number": "2", "when": None}]
    assert [row[:3] for row in rejects] == [
        ["1", "when", "wrong type (datetime)"],
        ["3", "when", "wrong type (datetime)"],
    ]
    columns = {"text": "text", "label": "number"}
    assert [r["label"] for r in reader(tmp_path / "t.parquet", columns=columns)[1]] == [
        "1",
        "2",
        None,
    ]


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


def test_other_separators_are_noticed(fails):
    assert "separated by ';'" in fails("label;text\n1;a\n")
    assert "format: tsv" in fails("label\ttext\n1\ta\n")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("d.csv", "", "holds no record"),
        ("d.csv", " \n\n ", "holds no record"),
        ("d.csv", "label,text\n", "holds no record"),
        ("d.json", "[]", "no readable record"),
        ("d.jsonl", "{\n", "no readable record"),
        ("d.jsonl", "\n\n", "holds no record"),
        ("d.parquet", pd.DataFrame({"label": [], "text": []}).to_parquet(None), "holds no record"),
        ("d.csv", "label,text\n1\n2\n", "none of the 2 records"),
        ("d.csv", b"\xff\xfel\0a\0", "UTF-16"),
        ("d.csv", b"\x1f\x8b\x08", "compressed"),
        ("d.csv", b"PK\x03\x04...", "spreadsheet"),
        ("d.csv", b"PAR1...", "format: parquet"),
        ("d.csv", "\n<!DOCTYPE html><html>", "web page"),
        ("d.json", '{"text": 1}\n{"text": 2}', "format: jsonl"),
        ("d.json", '{"text": 1}', "format: jsonl"),
        ("d.json", '{"data": [{"text": 1}]}', "under 'data'"),
        ("d.json", '[{"text": 1},]', "line 1"),
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
    assert "is a folder" in fails(tmp_path, format="csv")
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


def test_a_text_without_a_paragraph_stops(tmp_path):
    for content in (b"", b"\n \n", b"\xff\xfe", b"\xe9\n"):
        with pytest.raises(UserError, match=r"datasets\.book: "):
            _read_text(tmp_path, content)
    with pytest.raises(UserError, match="is a folder"):
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

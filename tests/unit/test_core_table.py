"""One table, written as CSV, Markdown and for the terminal, whatever stands in its cells."""

import csv
import html
import io
import math
import re

import pytest
from deltatune.core import table_text
from deltatune.core.table import NOTHING, Cell, Column, Group, Row, Table, table
from deltatune.core.text import sanitize
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

COLUMNS = [Column("name", "Name"), Column("seconds", "Time", "number")]
HOSTILE = [
    *("<script>alert(1)</script>", "a|b", "a\nb", "a\\|b", "`x`", "*x*", "_x_", "[a](b)", "&amp;"),
    *(
        "x" * 200,
        "\u05e9\u05dc\u05d5\u05dd",
        "👩‍🔬",
        "\u202egnp",
        "\x1b[31m",
        "~~x~~",
        "# x",
        "=1+1",
        "\ud800",
    ),
]
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=12))


def of(*texts: str, **settings) -> Table:
    rows = [Row({"name": Cell(text), "seconds": Cell("1.5 s", 1.5)}) for text in texts]
    return table("times", "Times", COLUMNS, rows, **settings)


def texts(one: Table) -> list[list[str]]:
    """The texts of its rows."""
    return [[row.cell(column).text for column in one.columns] for row in one.rows]


def fields(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


# -------------------------------------------------------------------------------------------- CSV


def test_csv_has_keys_and_whole_numbers():
    rows = [
        Row({"name": Cell("a"), "seconds": Cell("1.2 s", 1.2345678901234567)}),
        Row({"name": Cell("short…", title="a whole name"), "seconds": Cell("3", 3)}),
        Row({"name": Cell("c")}),
    ]
    written = table_text.to_csv(Table("t", "T", COLUMNS, [Group(rows, "one"), Group([], "two")]))
    assert fields(written) == [
        ["group", "name", "seconds"],
        ["one", "a", "1.2345678901234567"],
        ["one", "a whole name", "3"],
        ["one", "c", ""],
    ]


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e300, 5e-324, -0.5])
def test_any_number_is_read_back_from_csv(value):
    one = table("t", "T", COLUMNS, [Row({"seconds": Cell("?", value)})])
    assert float(fields(table_text.to_csv(one))[1][1]) == value


def test_an_unknown_number_is_an_empty_field():
    rows = [Row({"seconds": one}) for one in (Cell(), Cell(value=math.nan))]
    assert table_text.to_csv(table("t", "T", COLUMNS, rows)) == "name,seconds\n,\n,\n"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "  =1", "\n=1", "＝1"])
def test_no_field_begins_as_a_formula(text):
    assert fields(table_text.to_csv(of(text)))[1][0].startswith("'")


@given(st.lists(TEXTS, min_size=1))
def test_csv_gives_back_each_text(texts):
    rows = fields(table_text.to_csv(of(*texts)))
    assert len(rows) == len(texts) + 1
    for (text, seconds), expected in zip(rows[1:], texts, strict=True):
        assert seconds == "1.5"
        assert text.removeprefix("'") == sanitize(expected).removeprefix("'") or (
            expected == NOTHING and text == ""
        )


# --------------------------------------------------------------------------------------- Markdown


def cells(markdown: str) -> list[list[str]]:
    """The texts of the table as a reader of Markdown sees them."""
    shown = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)
    assert shown.startswith("<table>") and shown.rstrip().endswith("</table>"), shown
    rows = re.findall(r"<tr>(.*?)</tr>", shown, re.DOTALL)
    inside = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    for row in inside:
        assert not any(re.search(r"<(?!br>|/?strong>)", cell) for cell in row), row
    return [
        [html.unescape(re.sub("<br>", "\n", re.sub("</?strong>", "", cell))) for cell in row]
        for row in inside
    ]


@given(st.lists(TEXTS, min_size=1))
def test_markdown_shows_each_text_in_its_cell(texts):
    rows = cells(table_text.to_markdown(of(*texts)))
    assert rows[0] == ["Name", "Time"]
    assert [row[1] for row in rows[1:]] == ["1.5 s"] * len(texts)
    for (shown, _), text in zip(rows[1:], texts, strict=True):
        assert "".join(shown.split()) == "".join(sanitize(text).split())


def test_markdown_aligns_groups_and_emphasizes():
    rows = [Row({"name": Cell("a", strong=True)}), Row({"name": Cell("rouge_l")}, inner=True)]
    columns = [COLUMNS[0], Column("low", "low", "range", over="here")]
    one = Table("t", "T", columns, [Group(rows, "one|two")], foot=Row({"name": Cell("All")}))
    assert table_text.to_markdown(one) == (
        "| Name | here: low |\n| --- | ---: |\n| **one\\|two** |  |\n| **a** | – |\n"
        "| &emsp;rouge_l | – |\n| All | – |\n"
    )


# --------------------------------------------------------------------------------------- terminal


def test_the_terminal_aligns_what_is_wide():
    rows = [Row({"name": Cell(text), "seconds": Cell("5")}) for text in ("日本", "e\u0301", "abcd")]
    foot = Row({"name": Cell("All"), "seconds": Cell("15")})
    assert table_text.to_terminal(table("t", "T", COLUMNS, rows, foot=foot)) == (
        "Name  Time\n----------\n日本     5\ne\u0301        5\nabcd     5\nAll     15"
    )


@given(st.lists(TEXTS, min_size=1))
def test_the_terminal_has_a_line_for_each_row_and_nothing_that_steers_it(texts):
    lines = table_text.to_terminal(of(*texts)).split("\n")
    assert len(lines) == len(texts) + 2
    assert all(line.isprintable() for line in lines)

"""Tables on the page: structure, escaping, sort keys, and the files in their links."""

import math
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest
from deltatune.core import table_text
from deltatune.core.table import Cell, Column, Group, Row, Table, table
from deltatune.report import table_html
from deltatune.report.text import clean
from hypothesis import given
from hypothesis import strategies as st
from test_core_table import COLUMNS, HOSTILE, TEXTS, of


class Reader(HTMLParser):
    """Tags with attributes, and the text of each cell."""

    def __init__(self, markup: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.cells: list[list[str]] = []
        self.inside = False
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.cells[-1][-1] += data


ALLOWED = {"div", "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "span", "a", "p"}


@given(st.lists(TEXTS, min_size=1))
def test_each_text_is_shown_as_text(texts):
    reader = Reader(table_html.to_html(of(*texts)))
    assert [row[0] for row in reader.cells[1:]] == [clean(text) for text in texts]
    assert {tag for tag, _ in reader.tags} <= ALLOWED
    assert not any(name.startswith("on") for _, attrs in reader.tags for name in attrs)


def test_the_structure_speaks_to_a_screen_reader():
    columns = [COLUMNS[0], *(Column(f"low{n}", "95%", "range", over=f"over{n}") for n in (1, 2))]
    groups = [Group([Row({"name": Cell("a")}), Row({}, inner=True)], "first"), Group([Row({})])]
    markup = table_html.to_html(Table("t", "T", columns, groups, Row({}), sortable=True))
    reader = Reader(markup)
    scopes = [attrs["scope"] for tag, attrs in reader.tags if tag == "th"]
    assert scopes.count("row") == 4 and scopes.count("col") == 3
    assert scopes.count("rowgroup") == 1 and scopes.count("colgroup") == 2
    assert reader.cells[0] == ["", "over1", "over2"]
    assert [tag for tag, _ in reader.tags].count("tbody") == 2
    assert '<caption><span class="pinned">T</span></caption>' in markup
    region = next(attrs for tag, attrs in reader.tags if tag == "div")
    assert (region["role"], region["tabindex"], region["aria-label"]) == ("region", "0", "T")


@pytest.mark.parametrize(
    ("value", "sort"),
    [(1.5, "1.5"), (0, "0"), (-1e-300, "-1e-300"), (math.inf, "Infinity"), (-math.inf, "-Infinity"),
     (math.nan, None), (None, None), (np.float64(0.25), "0.25"), (123456789012, "123456789012")],
)  # fmt: skip
def test_a_number_is_sorted_by_its_value(value, sort):
    one = table("t", "T", COLUMNS, [Row({"seconds": Cell("?", value)})])
    tags = Reader(table_html.to_html(one)).tags
    assert [attrs.get("data-sort") for tag, attrs in tags if tag == "td"] == [sort]
    assert "np." not in table_text.to_csv(one)


def test_one_row_is_not_sorted():
    assert "data-sortable" not in table_html.to_html(of("a", sortable=True))
    assert "data-sortable" in table_html.to_html(of("a", "b", sortable=True))


def test_a_cell_has_what_it_was_given():
    cell = Cell("a<", href='#x"', strong=True, title="whole", tone="improved", share=2)
    markup = table_html.to_html(table("t", "T", [Column("a", "A", "badge")], [Row({"a": cell})]))
    assert 'class="badge improved strong" title="whole"' in markup
    assert '<a href="#x&#34;">a&lt;</a>' in markup
    assert '<span style="width:100.0%">' in markup


@pytest.mark.parametrize("texts", [HOSTILE, ["plain"], ["100% #1 ÄÖ", 'a"b', "日本"]])
def test_the_links_hold_the_files(texts):
    one = of(*texts)
    markup = table_html.to_html(one)
    links = [attrs for tag, attrs in Reader(markup).tags if tag == "a" and "download" in attrs]
    written = {
        "times.csv": ("data:text/csv;charset=utf-8,", table_text.to_csv(one)),
        "times.md": ("data:text/markdown;charset=utf-8,", table_text.to_markdown(one)),
    }
    assert [attrs["download"] for attrs in links] == list(written)
    for attrs in links:
        head, text = written[attrs["download"]]
        assert attrs["href"].startswith(head)
        assert unquote(attrs["href"].removeprefix(head)) == text
        assert re.fullmatch(r"[!-~]*", attrs["href"]) and "#" not in attrs["href"]

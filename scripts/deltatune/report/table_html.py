"""Tables as HTML, each with its CSV and Markdown as links.

report/table.js sorts those that are marked for it, by the `data-sort` of their cells; without a
script they are as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from urllib.parse import quote

from markupsafe import Markup, escape

from deltatune.core import table_text
from deltatune.core.table import Cell, Column, Group, Row, Table
from deltatune.report.text import brief

METER = Markup('<span class="meter" aria-hidden="true"><span style="width:{:.1f}%"></span></span>')
_LINE = Markup("\n")
WIDEST = 200
"""Characters of a text that a cell shows; its files have more of it, see `table_text.MOST`."""
_UNQUOTED = "!$()*+,./:;=@[]^_`{|}~'-"
"""What a data: URI may hold as it is; escaped for its attribute afterwards."""


def to_html(table: Table) -> Markup:
    """The table in a region that scrolls, and the links to its files; all texts are escaped."""
    shown = Markup(
        '<div class="scroll contained" tabindex="0" role="region" aria-label="{title}">\n'
        '<table class="table" id="{name}"{sortable}>\n'
        '<caption><span class="pinned">{title}</span></caption>\n'
        "<thead>\n{head}\n</thead>\n{body}{foot}\n</table></div>\n{save}"
    )
    foot = _in("tfoot", [_row(table, table.foot)]) if table.foot else Markup("")
    return shown.format(
        title=brief(table.title),
        name=table.name,
        sortable=Markup(" data-sortable") if table.sortable and len(list(table.rows)) > 1 else "",
        head=_head(table.columns),
        body=_LINE.join(_group(table, group) for group in table.groups if group.rows),
        foot=_LINE + foot if table.foot else foot,
        save=save(table),
    )


def save(table: Table) -> Markup:
    """The table as CSV and Markdown, as links that need no network and no script."""
    csv, markdown = table_text.to_csv(table), table_text.to_markdown(table)
    return Markup(
        '<p class="saved">Save as <a download="{name}.csv" href="{csv}">CSV</a> '
        '<a download="{name}.md" href="{markdown}">Markdown</a></p>'
    ).format(
        name=table.name,
        csv=data_uri(csv, "text/csv"),
        markdown=data_uri(markdown, "text/markdown"),
    )


def data_uri(text: str, media_type: str) -> str:
    """Percent-encoded: unlike base64 it is packed well where the page is."""
    return f"data:{media_type};charset=utf-8,{quote(text, _UNQUOTED, errors='replace')}"


def _in(tag: str, lines: Sequence[Markup]) -> Markup:
    return Markup(f"<{tag}>\n{{}}\n</{tag}>").format(_LINE.join(lines))


def _head(columns: Sequence[Column]) -> Markup:
    """One row of titles, or two where there are titles over some."""
    rows = []
    if any(column.over for column in columns):
        spans = [(over, len(list(of))) for over, of in groupby(columns, key=lambda c: c.over)]
        over = Markup('<th scope="colgroup" colspan="{}" class="over">{}</th>')
        none = Markup('<td colspan="{}"></td>')
        cells = [over.format(n, brief(text)) if text else none.format(n) for text, n in spans]
        rows.append(_tr(cells))
    th = Markup('<th scope="col"{}>{}</th>')
    rows.append(_tr([th.format(_classes(one.kind), brief(one.title)) for one in columns]))
    return _LINE.join(rows)


def _group(table: Table, group: Group) -> Markup:
    rows = [_row(table, row) for row in group.rows]
    if group.title:
        head = Markup(
            '<tr class="group"><th scope="rowgroup" colspan="{}"><span class="pinned">{}</span>'
            "</th></tr>"
        )
        rows.insert(0, head.format(len(table.columns), brief(group.title)))
    return _in("tbody", rows)


def _row(table: Table, row: Row) -> Markup:
    names, *others = table.columns
    cells = [_cell(Markup('<th scope="row"'), "th", names, row.cell(names))]
    cells += [_cell(Markup("<td"), "td", column, row.cell(column)) for column in others]
    return _tr(cells, "inner" if row.inner else "")


def _tr(cells: Sequence[Markup], name: str = "") -> Markup:
    return Markup("<tr{}>{}</tr>").format(_classes(name), Markup("").join(cells))


def _cell(opening: Markup, tag: str, column: Column, cell: Cell) -> Markup:
    text = escape(brief(cell.text, WIDEST))
    if cell.href:
        text = Markup('<a href="{}">{}</a>').format(cell.href, text)
    if cell.share is not None and math.isfinite(cell.share):
        text = text + METER.format(100 * min(max(cell.share, 0), 1))
    return Markup("{}{}{}{}>{}</{}>").format(
        opening,
        _classes(column.kind, cell.tone, "strong" if cell.strong else ""),
        _attribute("title", brief(cell.title)),
        _attribute("data-sort", table_text.js_number(cell.value) if cell.known else ""),
        text,
        Markup(tag),
    )


def _classes(*names: str) -> Markup:
    return _attribute("class", " ".join(name for name in names if name and name != "text"))


def _attribute(name: str, value: str) -> Markup:
    return Markup(' {}="{}"').format(name, value) if value else Markup("")

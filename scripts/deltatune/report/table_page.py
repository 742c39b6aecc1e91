"""A table of a run as a page of its own: Snakemake's report shows pages, and only downloads CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from deltatune.core.table import NOTHING, Cell, Column, Row, table
from deltatune.report import numbers
from deltatune.report.labels import shorten
from deltatune.report.table_html import WIDEST, to_html

MOST_ROWS = 1000
PAGE = Markup("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body><main>
<h1>{title}</h1>
{note}
{table}
</main></body>
</html>
""")


def render(csv: Path, title: str, styles: Sequence[Path]) -> str:
    """The page of a CSV file: its first rows, and how many there are.

    styles: style sheets, see `page_files.TABLE_STYLES`
    """
    frame = pd.read_csv(csv, nrows=MOST_ROWS, dtype=object, keep_default_na=False)
    with csv.open("rb") as file:
        cut = len(frame) == MOST_ROWS and sum(1 for _ in file) > MOST_ROWS + 1
    numeric = {name: pd.to_numeric(frame[name], errors="coerce") for name in frame}
    columns = [
        Column(name, name.replace("_", " "), "number" if _is_number(frame[name]) else "text")
        for name in frame
    ]
    rows = [
        Row(
            {
                column.key: _cell(frame[column.key].iloc[place], numeric[column.key].iloc[place])
                if column.kind == "number"
                else _text(frame[column.key].iloc[place])
                for column in columns
            }
        )
        for place in range(len(frame))
    ]
    note = f"The first {MOST_ROWS:,} rows; all are in {csv}." if cut else f"All rows of {csv}."
    if not rows:
        note += " It has none."
    style = "\n".join(path.read_text(encoding="utf-8") for path in styles)
    return PAGE.format(
        title=title,
        style=Markup(style),
        note=Markup('<p class="note">{}</p>').format(note),
        table=to_html(table(csv.stem, title, columns, rows)) if rows else Markup(""),
    )


def _is_number(values: pd.Series) -> bool:
    there = values[values != ""]
    return len(there) > 0 and bool(pd.to_numeric(there, errors="coerce").notna().all())


def _cell(text: str, value: float) -> Cell:
    if not numbers.finite(value):
        return Cell(text or NOTHING)
    whole = float(value).is_integer() and "." not in text
    return Cell(f"{value:,.0f}" if whole else f"{value:.4g}", float(value), title=text)


def _text(text: str) -> Cell:
    short = shorten(text, WIDEST) or NOTHING
    return Cell(short, title=text if short != text else "")

"""Tables as text: CSV for spreadsheets and programs, Markdown, and the terminal."""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Iterator

from deltatune.core.table import NOTHING, Cell, Column, Row, Table
from deltatune.core.text import printable, sanitize

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, in full width too
(https://owasp.org/www-community/attacks/CSV_Injection)."""
MOST = 2000
"""Characters of a text that is shown, in a table or elsewhere: labels, ids and messages have no
length of their own."""
TO_THE_RIGHT = ("number", "range")
"""Kinds of columns."""
# Of an underscore between letters nothing is made: rouge_l stays readable.
_MARKUP = re.compile(r"[\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_])")


def to_csv(table: Table) -> str:
    """The keys of the columns, then a line for each row, with its group in a first column.

    Numbers are whole, in the unit of the key; an unknown one is an empty field. A text that a
    spreadsheet would take for a formula begins with an apostrophe.
    """
    file = io.StringIO()
    write = csv.writer(file, lineterminator="\n").writerow
    naming = ["group"] if table.grouped else []
    write([*naming, *(_safe(column.key) for column in table.columns)])
    for group in table.groups:
        title = [_safe(group.title)] if table.grouped else []
        for row in group.rows:
            write([*title, *(_field(column, row.cell(column)) for column in table.columns)])
    return file.getvalue()


def _field(column: Column, cell: Cell) -> str:
    if column.kind == "number" and cell.known:
        return str(cell.value)
    return "" if cell.text == NOTHING else _safe(cell.title or cell.text)


def _safe(text: str) -> str:
    """Text that is no formula, whatever it begins with."""
    text = sanitize(beginning(text))
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def to_markdown(table: Table) -> str:
    """GitHub's tables; a group is a row of its own, in bold."""
    columns = table.columns
    lines = [
        _line(_escape(heading(column)) for column in columns),
        _line("---:" if column.kind in TO_THE_RIGHT else "---" for column in columns),
    ]
    for group in table.groups:
        if table.grouped:
            lines.append(_line([f"**{_escape(group.title)}**", *[""] * (len(columns) - 1)]))
        lines += [_markdown_row(table, row) for row in group.rows]
    if table.foot:
        lines.append(_markdown_row(table, table.foot))
    return "\n".join(lines) + "\n"


def heading(column: Column) -> str:
    """The title of a column where those over several columns cannot be drawn."""
    return f"{column.over}: {column.title}" if column.over else column.title


def _markdown_row(table: Table, row: Row) -> str:
    cells = [row.cell(column) for column in table.columns]
    texts = [_escape(cell.text) for cell in cells]
    texts = [
        f"**{text}**" if cell.strong and text else text
        for cell, text in zip(cells, texts, strict=True)
    ]
    if row.inner:
        texts[0] = f"&emsp;{texts[0]}"
    return _line(texts)


def _line(texts) -> str:
    return f"| {' | '.join(texts)} |"


def _escape(text: str) -> str:
    """A text that Markdown shows as it is, in one cell."""
    text = _MARKUP.sub(lambda match: f"\\{match.group()}", sanitize(beginning(text)).strip())
    return re.sub(r"\s*\n\s*", "<br>", text)


def to_terminal(table: Table) -> str:
    """Columns side by side, numbers to the right; a group is a line of its own."""
    columns = table.columns
    head = [_plain(heading(column)) for column in columns]
    lines: list[list[str] | str] = [head]
    for group in table.groups:
        if table.grouped:
            lines += ["", _plain(group.title)]
        lines += [_texts(table, row) for row in group.rows]
    if table.foot:
        lines.append(_texts(table, table.foot))
    cells = [line for line in lines if isinstance(line, list)]
    widths = [max(width(line[place]) for line in cells) for place in range(len(columns))]
    written = [line if isinstance(line, str) else _aligned(columns, line, widths) for line in lines]
    rule = "-" * max(width(line) for line in written)
    return "\n".join([written[0], rule, *written[1:]])


def _texts(table: Table, row: Row) -> list[str]:
    texts = [_plain(row.cell(column).text) for column in table.columns]
    return [f"  {texts[0]}", *texts[1:]] if row.inner else texts


def _plain(text: str) -> str:
    return printable(" ".join(beginning(text).split()), keep="")


def _aligned(columns, texts: list[str], widths: list[int]) -> str:
    parts = []
    for column, text, most in zip(columns, texts, widths, strict=True):
        blank = " " * (most - width(text))
        parts.append(blank + text if column.kind in TO_THE_RIGHT else text + blank)
    return "  ".join(parts).rstrip()


def beginning(text: str, most: int = MOST) -> str:
    """The text; of one with more than `most` characters the beginning, and how many it has."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def width(text: str) -> int:
    """The places that a text takes in a terminal: two for wide characters, none for marks."""
    return sum(_places(text))


def _places(text: str) -> Iterator[int]:
    for character in text:
        if unicodedata.category(character) in ("Mn", "Me", "Cf"):
            yield 0
        else:
            yield 2 if unicodedata.east_asian_width(character) in "WF" else 1


def js_number(value: float) -> str:
    """A number as a page's script reads it."""
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return f"{value:.12g}"

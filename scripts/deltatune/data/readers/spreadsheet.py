"""xlsx: the first sheet of a workbook, its first row the names of the columns.

Read by the standard library, row by row; what is in memory are the texts that cells share.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from deltatune.core.errors import UserError
from deltatune.core.text import excerpt
from deltatune.data.readers.base import Row
from deltatune.data.readers.files import File
from deltatune.data.readers.values import as_text

NAMED = 5
"""Sheets that are not read, which are named."""

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
# Formats of dates and times by number (ECMA-376, 18.8.30), those of East Asian versions among them.
_DATES = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}
_BROKEN = (zipfile.BadZipFile, ElementTree.ParseError, LookupError, ValueError, OverflowError)
# Of a format of one's own: what is quoted, escaped, a color or a condition says nothing.
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)

# A character by its code (ECMA-376, 22.9.2.19), such as the line breaks of Windows.
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


class Spreadsheet:
    """The value of a formula is the one that the program has saved; an error such as #N/A is no
    value."""

    def __init__(self, path: File, where: str) -> None:
        self.path, self.where = path, where
        self.notes: list[str] = []

    def names(self) -> list[str]:
        with self._archive() as archive:
            sheets = [excerpt(name, 40) for name in _sheet_names(archive)]
        if len(sheets) > 1:
            others = ", ".join(f"'{name}'" for name in sheets[1 : NAMED + 1])
            more = f" and {len(sheets) - 1 - NAMED} more" if len(sheets) - 1 > NAMED else ""
            self.notes = [
                f"of {self.path.name} the sheet '{sheets[0]}' is read, not {others}{more}; save "
                "another one as a file of its own to read it"
            ]
        cells = next(self._rows(), {})
        names = [_name(cells.get(place)) for place in range(max(cells, default=-1) + 1)]
        return [name or f"column_{place}" for place, name in enumerate(names, 1)]

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        names = self.names()
        places = [names.index(name) for name in wanted]
        rows = self._rows()
        next(rows, None)
        for cells in rows:
            yield [cells.get(place) for place in places]

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        with self.path.seekable() as place:
            try:
                with zipfile.ZipFile(place) as archive:
                    yield archive
            except _BROKEN as error:
                raise UserError(
                    f"{self.where}: {self.path} cannot be read as a spreadsheet: {error}; save it "
                    "as csv, in UTF-8"
                ) from None

    def _rows(self) -> Iterator[dict[int, Any]]:
        """The rows that hold something, each by column, from 0."""
        with self._archive() as archive:
            texts = list(_shared_texts(archive))
            dates, epoch = _date_styles(archive), _epoch(archive)
            with archive.open(_sheet(archive)) as file:
                for _, row in ElementTree.iterparse(file):
                    if row.tag != f"{_MAIN}row":
                        continue
                    cells = {}
                    for position, cell in enumerate(row.iter(f"{_MAIN}c")):
                        value = _value(cell, texts, dates, epoch)
                        if value is not None:
                            cells[_column(cell.get("r"), position)] = value
                    row.clear()
                    if cells:
                        yield cells


def _parsed(archive: zipfile.ZipFile, name: str) -> ElementTree.Element | None:
    if name not in archive.namelist():
        return None
    with archive.open(name) as file:
        return ElementTree.parse(file).getroot()


def _name(value: Any) -> str:
    text = as_text(value)
    return text.strip() if isinstance(text, str) else ""


def _sheet_names(archive: zipfile.ZipFile) -> list[str]:
    workbook = _parsed(archive, "xl/workbook.xml")
    sheets = [] if workbook is None else workbook.findall(f"{_MAIN}sheets/{_MAIN}sheet")
    return [sheet.get("name", "") for sheet in sheets]


def _sheet(archive: zipfile.ZipFile) -> str:
    """The file of the first sheet."""
    workbook = _parsed(archive, "xl/workbook.xml")
    links = _parsed(archive, "xl/_rels/workbook.xml.rels")
    sheet = None if workbook is None else workbook.find(f"{_MAIN}sheets/{_MAIN}sheet")
    if sheet is None or links is None:
        raise ValueError("it has no sheet")
    targets = {link.get("Id"): link.get("Target", "") for link in links}
    target = targets[sheet.get(_ID)]
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _shared_texts(archive: zipfile.ZipFile) -> Iterator[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return
    with archive.open("xl/sharedStrings.xml") as file:
        for _, item in ElementTree.iterparse(file):
            if item.tag == f"{_MAIN}si":
                yield _text(item)
                item.clear()


def _text(item: ElementTree.Element) -> str:
    """Of a text in one piece or in several with formats of their own, without its reading aids."""
    runs = [item, *item.findall(f"{_MAIN}r")]
    return _unescaped("".join(t.text or "" for run in runs for t in run.findall(f"{_MAIN}t")))


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def _date_styles(archive: zipfile.ZipFile) -> set[int]:
    """The numbers of the styles that show a number as a date or a time."""
    styles = _parsed(archive, "xl/styles.xml")
    if styles is None:
        return set()
    own = {
        int(format.get("numFmtId", 0))
        for format in styles.iter(f"{_MAIN}numFmt")
        if re.search("[dmyhs]", _LITERAL.sub("", format.get("formatCode", "")), re.IGNORECASE)
    }
    cells = styles.find(f"{_MAIN}cellXfs")
    used = [int(cell.get("numFmtId", 0)) for cell in cells] if cells is not None else []
    return {number for number, format in enumerate(used) if format in _DATES | own}


def _epoch(archive: zipfile.ZipFile) -> datetime:
    """The day 0. That of 1900 counts a February 29 that there was not, so it is a day earlier."""
    workbook = _parsed(archive, "xl/workbook.xml")
    settings = None if workbook is None else workbook.find(f"{_MAIN}workbookPr")
    since_1904 = settings is not None and settings.get("date1904") in ("1", "true")
    return datetime(1904, 1, 1) if since_1904 else datetime(1899, 12, 30)


def _value(cell: ElementTree.Element, texts: list[str], dates: set[int], epoch: datetime) -> Any:
    kind, content = cell.get("t", "n"), cell.findtext(f"{_MAIN}v")
    if kind == "inlineStr":
        inline = cell.find(f"{_MAIN}is")
        return None if inline is None else _text(inline)
    if content is None or kind == "e":
        return None
    if kind == "s":
        return texts[int(content)]
    if kind == "b":
        return content == "1"
    if kind != "n":  # str, the text of a formula, and d, a date in ISO 8601
        return _unescaped(content)
    number = float(content)
    if int(cell.get("s", 0)) not in dates:
        return number
    when = epoch + timedelta(seconds=round(number * 86_400))
    return when.date() if when.time() == datetime.min.time() else when


def _column(reference: str | None, position: int) -> int:
    """0 for A7, 27 for AB7; the position in the row where a cell does not say."""
    letters = re.match("[A-Z]+", reference or "")
    if letters is None:
        return position
    number = 0
    for letter in letters[0]:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1

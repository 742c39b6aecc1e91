"""csv and tsv."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from deltatune.core.errors import UserError
from deltatune.core.text import excerpt
from deltatune.data.readers.base import Rejected, Row, as_text
from deltatune.data.readers.lines import Lines, text_file
from deltatune.data.reasons import Code, Reason

BAD_QUOTE_LINES = 100
"""Lines that one badly quoted record may take with it before reading stops."""


class Delimited:
    """csv and tsv, quoted as RFC 4180 says; the first line holds the names of the columns."""

    def __init__(self, path: Path, delimiter: str, where: str) -> None:
        self.path, self.delimiter, self.where = path, delimiter, where

    def _parse(self) -> Iterator[list[str] | Rejected]:
        """All records, the header first."""
        # Our own limit is on characters and rejects one record; csv's would stop the file.
        limit = csv.field_size_limit(2**31 - 1)
        try:
            with text_file(self.path, newline="") as file:
                lines = Lines(file, self.path, self.where)
                reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
                while True:
                    lines.begin()
                    try:
                        values = next(reader)
                    except StopIteration:
                        return
                    except csv.Error:
                        if lines.ended:
                            raise lines.unclosed("reaches the end of the file") from None
                        if lines.span > BAD_QUOTE_LINES:
                            raise lines.unclosed(f"runs over {lines.span:,} lines") from None
                        taken = (
                            f"lines {lines.first_line}-{lines.number}: " if lines.span > 1 else ""
                        )
                        yield Rejected(Reason(Code.BAD_QUOTING), taken + lines.head)
                    else:
                        if not values:  # a blank line
                            continue
                        yield values
                    lines.row += 1
        finally:
            csv.field_size_limit(limit)

    def names(self) -> list[str]:
        records = self._parse()
        header = next(records, None)
        records.close()
        if not isinstance(header, list):
            raise UserError(
                f"{self.where}: the header of {self.path} is badly quoted or missing: "
                f"{excerpt(header and header.value)}"
            )
        header = [name.strip() or f"column_{i}" for i, name in enumerate(header, 1)]
        for name in header:
            if isinstance(as_text(name), Reason):
                raise UserError(
                    f"{self.where}: the name of column {header.index(name) + 1} in {self.path} is "
                    f"not readable text: {excerpt(name)}"
                )
        return header

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        header = self.names()
        places = [header.index(name) for name in wanted]
        records = self._parse()
        next(records)
        for values in records:
            if isinstance(values, Rejected):
                yield values
            elif len(values) != len(header):
                beginning = self.delimiter.join(value[:200] for value in values[:200])
                yield Rejected(Reason(Code.WRONG_COLUMNS), beginning)
            else:
                yield [values[place] for place in places]

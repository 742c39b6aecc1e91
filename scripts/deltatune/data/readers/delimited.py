"""csv and tsv."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import islice

from deltatune.core.errors import UserError
from deltatune.core.text import excerpt
from deltatune.data.readers.base import Rejected, Row
from deltatune.data.readers.files import File
from deltatune.data.readers.lines import Lines, text_file
from deltatune.data.readers.values import as_text
from deltatune.data.reasons import Code, Reason

BAD_QUOTE_LINES = 100
"""Lines that one badly quoted record may take with it before reading stops."""
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "'|'"}
_STATED = re.compile(r'"?sep=(.)"?[;,\t]*\s*', re.IGNORECASE)
"""A line before the header by which Excel is told the separator."""
SAMPLE = 20
"""Records, the header among them, that a separator is recognized by."""


class Delimited:
    """csv and tsv, quoted as RFC 4180 says; the first line holds the names of the columns."""

    def __init__(self, path: File, delimiter: str, where: str) -> None:
        self.path, self.delimiter, self.where = path, delimiter, where
        self.notes: list[str] = []
        with text_file(path, newline="") as file:
            stated = _STATED.fullmatch(file.readline(20))
        self.header_line = 1 if stated is None else 2
        if stated is None:
            self._recognize()
        else:
            self.delimiter = stated[1]
            self._note("as its first line says")

    def _recognize(self) -> None:
        """Another separator than the expected one, where it alone gives a table."""
        if self._is_table(self.delimiter):
            return
        others = [one for one in SEPARATORS if one != self.delimiter and self._is_table(one)]
        if len(others) == 1:
            self.delimiter = others[0]
            self._note()

    def _note(self, why: str = "") -> None:
        called = SEPARATORS.get(self.delimiter, repr(self.delimiter))
        reading = f"{self.path.name} is read as separated by {called}"
        self.notes.append(f"{reading}, {why}" if why else reading)

    def _is_table(self, delimiter: str) -> bool:
        """Whether the first records have as many cells as the header, and more than one."""
        records = self._parse(delimiter)
        try:
            sample = list(islice(records, SAMPLE))
        except UserError:  # told when the file is read
            return False
        finally:
            records.close()
        if not all(isinstance(record, list) for record in sample):
            return False
        counts = {len(record) for record in sample}
        return len(sample) > 1 and len(counts) == 1 and counts != {1}

    def _parse(self, delimiter: str) -> Iterator[list[str] | Rejected]:
        """All records, the header first."""
        # Our own limit is on characters and rejects one record; csv's would stop the file.
        limit = csv.field_size_limit(2**31 - 1)
        try:
            with text_file(self.path, newline="") as file:
                lines = Lines(file, self.path, self.where)
                while lines.number < self.header_line - 1:
                    next(lines)
                reader = csv.reader(lines, delimiter=delimiter, strict=True)
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
        records = self._parse(self.delimiter)
        header = next(records, None)
        records.close()
        if not isinstance(header, list):
            raise UserError(
                f"{self.where}: the header of {self.path} is badly quoted or missing: "
                f"{excerpt(header and header.value)}; write the names of the columns into its "
                "first line"
            )
        header = [name.strip() or f"column_{i}" for i, name in enumerate(header, 1)]
        for name in header:
            if isinstance(as_text(name), Reason):
                raise UserError(
                    f"{self.where}: the name of column {header.index(name) + 1} in {self.path} is "
                    f"not readable text: {excerpt(name)}; save the file as UTF-8"
                )
        return header

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        header = self.names()
        places = [header.index(name) for name in wanted]
        records = self._parse(self.delimiter)
        next(records)
        for values in records:
            if isinstance(values, Rejected):
                yield values
            elif len(values) != len(header):
                beginning = self.delimiter.join(value[:200] for value in values[:200])
                yield Rejected(Reason(Code.WRONG_COLUMNS), beginning)
            else:
                yield [values[place] for place in places]

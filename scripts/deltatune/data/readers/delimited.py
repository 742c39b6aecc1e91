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
MOST = 0.75
"""Share of them that have as many cells as the header where a separator is taken though some are
broken: the header has no cells by the expected one."""
_SPACED_QUOTE = re.compile(' +"')


class Delimited:
    """csv and tsv, quoted as RFC 4180 says; the first line holds the names of the columns."""

    def __init__(self, path: File, delimiter: str, where: str) -> None:
        self.path, self.delimiter, self.where = path, delimiter, where
        self.notes: list[str] = []
        self.skips_spaces = False
        with text_file(path, newline="") as file:
            stated = _STATED.fullmatch(file.readline(20))
        self.header_line = 1 if stated is None else 2
        if stated is None:
            self._recognize()
        else:
            self.delimiter = stated[1]
            self._note("as its first line says")

    def _recognize(self) -> None:
        """Another separator than the expected one, where it alone gives a table, and spaces before
        quotation marks."""
        readings = {one: self._reading(one) for one in {self.delimiter: None} | SEPARATORS}
        expected, _ = readings[self.delimiter]
        limits = [] if expected == 1 else [1] if expected else [1, MOST]
        for least in limits:
            others = [one for one, (share, _) in readings.items() if share >= least]
            if len(others) == 1:
                self.delimiter = others[0]
                self._note()
                break
        _, self.skips_spaces = readings[self.delimiter]
        if self.skips_spaces:
            self.notes.append(f"{self.path.name} is read without the spaces before quotation marks")

    def _note(self, why: str = "") -> None:
        called = SEPARATORS.get(self.delimiter, repr(self.delimiter))
        reading = f"{self.path.name} is read as separated by {called}"
        self.notes.append(f"{reading}, {why}" if why else reading)

    def _reading(self, delimiter: str) -> tuple[float, bool]:
        """Share of the first records that have as many cells as the header, 0 where that has one;
        and whether the spaces before quotation marks are no text."""
        sample = self._sample(delimiter, skips_spaces=False)
        share = _table_share(sample)
        cells = (cell for record in sample if isinstance(record, list) for cell in record)
        if any(map(_SPACED_QUOTE.match, cells)):
            without = _table_share(self._sample(delimiter, skips_spaces=True))
            if without >= max(share, MOST):
                return without, True
        return share, False

    def _sample(self, delimiter: str, skips_spaces: bool) -> list[list[str] | Rejected]:
        records = self._parse(delimiter, skips_spaces)
        try:
            return list(islice(records, SAMPLE))
        except UserError:  # told when the file is read
            return []
        finally:
            records.close()

    def _parse(self, delimiter: str, skips_spaces: bool) -> Iterator[list[str] | Rejected]:
        """All records, the header first."""
        # Our own limit is on characters and rejects one record; csv's would stop the file.
        limit = csv.field_size_limit(2**31 - 1)
        try:
            with text_file(self.path, newline="") as file:
                lines = Lines(file, self.path, self.where)
                while lines.number < self.header_line - 1:
                    next(lines)
                reader = csv.reader(
                    lines, delimiter=delimiter, skipinitialspace=skips_spaces, strict=True
                )
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
        records = self._parse(self.delimiter, self.skips_spaces)
        header = next(records, None)
        records.close()
        if not isinstance(header, list):
            raise UserError(
                f"{self.where}: the header of {self.path} is badly quoted or missing: "
                f"{excerpt(header and header.value)}; write the names of the columns into its "
                "first line"
            )
        header = _names(header)
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
        records = self._parse(self.delimiter, self.skips_spaces)
        next(records)
        for values in records:
            if isinstance(values, Rejected):
                yield values
            elif len(values) != len(header):
                counts = f"{len(values)}, not {len(header)}"
                yield Rejected(Reason(Code.WRONG_COLUMNS, value=counts), self._beginning(values))
            elif values[0].strip() == header[0] and len(header) > 1 and _names(values) == header:
                yield Rejected(Reason(Code.REPEATED_HEADER), self._beginning(values))
            else:
                yield [values[place] for place in places]

    def _beginning(self, values: list[str]) -> str:
        return self.delimiter.join(value[:200] for value in values[:200])


def _names(header: list[str]) -> list[str]:
    return [name.strip() or f"column_{i}" for i, name in enumerate(header, 1)]


def _table_share(sample: list[list[str] | Rejected]) -> float:
    """Of the records behind a header those that have as many cells, 0 where that has one."""
    header, *records = sample or [[]]
    if not isinstance(header, list) or len(header) < 2 or not records:
        return 0
    return sum(isinstance(r, list) and len(r) == len(header) for r in records) / len(records)

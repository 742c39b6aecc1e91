"""Lines of a text file: with limits on one record, and as paragraphs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from deltatune.core.errors import UserError
from deltatune.core.text import excerpt
from deltatune.data.readers.files import File

RECORD_LIMIT = 256 * 2**20
"""Characters of one record (csv, tsv) or line (jsonl, txt) at which reading stops."""
RECORD_LINES = 10_000
"""Lines of one csv record at which an unclosed quote is taken for certain."""


@contextmanager
def text_file(file: File, newline: str | None) -> Iterator[TextIO]:
    with file.open() as raw:
        text = io.TextIOWrapper(raw, "utf-8-sig", "surrogateescape", newline)
        try:
            yield text
        finally:
            text.detach()  # closed by who has opened it


class Lines:
    """Lines of a text file, with a limit on what one record may take of them."""

    def __init__(self, file: TextIO, path: File, where: str) -> None:
        self.file, self.path, self.where = file, path, where
        self.number = 0  # lines read so far
        self.row = 0  # records begun so far; 0 is the header
        self.ended = False
        self.begin()

    def begin(self) -> None:
        """A record begins with the next line."""
        self.first_line, self.characters, self.head = self.number + 1, 0, ""

    @property
    def span(self) -> int:
        return self.number - self.first_line + 1

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self.file.readline(RECORD_LIMIT + 1)
        if not line:
            self.ended = True
            raise StopIteration
        self.number += 1
        self.characters += len(line)
        self.head = self.head or line[:400]
        if self.span > RECORD_LINES:
            raise self.unclosed(f"has not ended after {RECORD_LINES:,} lines")
        if self.characters > RECORD_LIMIT:
            raise UserError(
                f"{self.where}: the record that begins in line {self.first_line:,} of {self.path} "
                f"is longer than {RECORD_LIMIT // 2**20} MiB; is the format right?"
            )
        return line

    def unclosed(self, how: str) -> UserError:
        name = f"row {self.row:,}" if self.row else "the header"
        return UserError(
            f"{self.where}: {self.path}: {name}, which begins in line {self.first_line:,}, {how}: "
            "a quotation mark is probably not closed. Close it, or double it if it belongs to the "
            f"text. The line begins: {excerpt(self.head)}"
        )


def paragraphs(path: File, where: str) -> Iterator[str]:
    lines: list[str] = []
    with text_file(path, newline=None) as file:
        source = Lines(file, path, where)
        while True:
            if not lines:
                source.begin()
            else:
                # Many lines are no sign of an unclosed quote here: only the length counts.
                source.first_line = source.number + 1
            line = next(source, None)
            if line is None or not line.strip():
                if lines:
                    yield "\n".join(lines)
                    lines = []
                if line is None:
                    return
            else:
                lines.append(line.rstrip())

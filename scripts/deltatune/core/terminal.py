"""What a running job says, on the terminal and in its log."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress

from deltatune.core.text import printable

INTERRUPTED = "interrupted"
"""The status of a job that was asked to stop, in its last line: "  JOB: interrupted"."""


class Terminal:
    """The terminal that the script was started from, while its output goes to the log."""

    def __init__(self, descriptor: int, stage: str) -> None:
        self._descriptor = descriptor
        self._stage = stage
        self._last = 0.0

    def say(self, text: str) -> None:
        """Print to the terminal and to the log."""
        self._log(text)
        self._show(text.rstrip("\n"))

    def interrupted(self) -> None:
        """Say that the job was asked to stop, in the words that `progress.display` knows."""
        self.say(f"  {self._stage}: {INTERRUPTED}")

    def paint(self, pieces: Iterable[tuple[str, str]]) -> None:
        """Print pieces of text in a row, each with the codes of its style (such as 1;32, see
        ISO 6429; "" for none). The log has no styles, nor has what is no terminal, nor one with
        NO_COLOR set, see no-color.org."""
        pieces = list(pieces)
        self._log("".join(text for text, _ in pieces))
        if not self._is_colored():
            pieces = [(text, "") for text, _ in pieces]
        self._write(
            "".join(
                f"\x1b[{style}m{printable(text)}\x1b[0m" if style else printable(text)
                for text, style in pieces
            )
        )

    def progress(self, text: str, every: float = 10.0) -> None:
        """Print to the log always, to the terminal at most once in `every` seconds."""
        self._log(text)
        now = time.monotonic()
        if now - self._last >= every:
            self._last = now
            self._show(f"  {self._stage}: {text}")

    def _log(self, text: str) -> None:
        # Where the disk is full, what fails is the work and not the line about it.
        with suppress(OSError):
            print(printable(text), flush=True)

    def _is_colored(self) -> bool:
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        return not plain and os.isatty(self._descriptor)

    def _show(self, text: str) -> None:
        self._write(printable(text))

    def _write(self, text: str) -> None:
        content = f"{text}\n".encode()
        # A terminal that has been closed is no reason to lose hours of work.
        with suppress(OSError):
            while content:
                content = content[os.write(self._descriptor, content) :]

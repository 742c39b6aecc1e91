"""What a running job says, on the terminal and in its log."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from deltatune.core.text import printable


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

    def _show(self, text: str) -> None:
        # A terminal that has been closed is no reason to lose hours of work.
        with suppress(OSError):
            os.write(self._descriptor, f"{printable(text)}\n".encode())

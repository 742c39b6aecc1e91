"""What this process and its children write to standard error, line by line to a function."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable


class Capture:
    """From `start` to `stop`, standard error is a pipe whose lines go to `receive`.

    Jobs write to the descriptor that they inherit, beside whatever is drawn there; so the
    descriptor itself is replaced. `descriptor` is a copy of what it was, to draw on.
    """

    def __init__(self, receive: Callable[[str], None]) -> None:
        self._receive = receive
        self.descriptor = os.dup(2)

    def start(self) -> None:
        reading, writing = os.pipe()
        sys.stderr.flush()
        os.dup2(writing, 2)
        os.close(writing)
        self._thread = threading.Thread(target=self._pump, args=(reading,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Standard error is what it was, and every line before has been received, but for those of
        children that outlive this process."""
        sys.stderr.flush()
        os.dup2(self.descriptor, 2)
        self._thread.join(timeout=1.0)

    def _pump(self, reading: int) -> None:
        with os.fdopen(reading, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self._receive(line)

"""What every script does around its work: log, progress, errors for people.

Snakemake does not send a script's output to the rule's log, so both file descriptors are
redirected here; that catches what C++ libraries print too.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from deltatune.errors import UserError
from deltatune.isolation import leave_snakemakes_environment


class Terminal:
    """The terminal that the script was started from, while its output goes to the log."""

    def __init__(self, descriptor: int, stage: str) -> None:
        self._descriptor = descriptor
        self._stage = stage
        self._last = 0.0

    def say(self, text: str) -> None:
        """Print to the terminal and to the log."""
        print(text, flush=True)
        self._show(text.rstrip("\n"))

    def progress(self, text: str, every: float = 10.0) -> None:
        """Print to the log always, to the terminal at most once in `every` seconds."""
        print(text, flush=True)
        now = time.monotonic()
        if now - self._last >= every:
            self._last = now
            self._show(f"  {self._stage}: {text}")

    def _show(self, text: str) -> None:
        # A terminal that has been closed is no reason to lose hours of work.
        with suppress(OSError):
            os.write(self._descriptor, f"{text}\n".encode())


@contextmanager
def stage(snakemake: Any) -> Iterator[Terminal]:
    """Run a script's body with its output in the rule's log.

    A UserError ends the script with its message alone and exit status 1. Any other error leaves
    its traceback in the log and one line on the terminal.
    """
    leave_snakemakes_environment()
    path = Path(snakemake.log[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with path.open("w", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    wildcards = ", ".join(str(value) for value in snakemake.wildcards)
    name = f"{snakemake.rule} {wildcards}".strip()
    terminal = Terminal(saved[1], name)
    status = 0
    try:
        yield terminal
    except UserError as error:
        terminal.say(f"\ndeltatune: {snakemake.rule} stopped.\n{error}\n")
        status = 1
    except Exception as error:
        traceback.print_exc()
        sys.stderr.flush()
        terminal.say(
            f"\ndeltatune: {name} failed unexpectedly "
            f"({type(error).__name__}: {str(error)[:300]}). The details are in {path}.\n"
        )
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
    if status:
        sys.exit(status)

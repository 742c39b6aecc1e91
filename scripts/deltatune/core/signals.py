"""Signals that ask a long job to stop: recorded, so that it can save its state and end by itself.

SLURM sends SIGTERM before a job's time is up, a terminal SIGINT for Ctrl-C and SIGHUP when it is
closed. Snakemake passes none of them on, but runs a script in its own process group.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


@contextmanager
def catch_stop_signals(wanted: bool = True, again: bool = False) -> Iterator[Callable[[], bool]]:
    """Within it, the first signal that asks to stop is only recorded: the yielded function says
    whether one came. A second one ends the process at once, as it would have without this.

    wanted: False to leave all signals as they are. again: only record all later ones too. What the
    process was started to ignore (nohup, a job in the background) is left alone, SIGTERM excepted.
    For the main thread.
    """
    received: list[int] = []

    def handle(number: int, frame: object) -> None:
        received.append(number)
        if not again:
            signal.signal(number, signal.SIG_DFL)

    before = {}
    for number in _STOP_SIGNALS if wanted else ():
        handler = signal.getsignal(number)
        if handler is signal.SIG_IGN and number != signal.SIGTERM:
            continue
        before[number] = signal.signal(number, handle)
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """Ask the kernel to send this process a signal when its parent has ended.

    A snakemake that is killed outright cannot stop its jobs; without this they would go on, unseen
    and in the way of the next run. Linux alone has it; elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:  # it ended before it was asked
        os.kill(os.getpid(), number)

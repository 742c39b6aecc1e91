"""What every script does around its work: log, progress, errors for people.

Snakemake does not send a script's output to the rule's log, so both file descriptors are
redirected here; that catches what C++ libraries print too.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from deltatune.core import cache, disk, gpu_slots, integrity, provenance, signals
from deltatune.core.errors import Stopped, UserError
from deltatune.core.paths import results_of
from deltatune.core.terminal import Terminal
from deltatune.core.upstream import (
    keep_threads_from_spinning,
    leave_out_torch_compiler,
    leave_snakemakes_environment,
)


@contextmanager
def stage(
    snakemake: Any, cached: bool = False, gpus: int = 1, compiles: bool = False
) -> Iterator[Terminal]:
    """Run a script's body with its output in the rule's log, on inputs that are what was made.

    cached: keep the results, see `cache`. Where the same job was done before, its results are put
    in place and the process ends at once, with exit status 0: the body is not run.
    gpus: how many a job takes that asks Snakemake for any, which counts no more than there are.
    compiles: whether it uses torch's compiler, which no other job loads.

    A UserError ends the script with its message alone and exit status 1, and so does a disk that
    cannot be written to; Ctrl-C with one line and the status of a process that it ended. Any other
    error leaves its traceback in the log and one line on the terminal.
    """
    _prepare_process(compiles)
    path = Path(snakemake.log[0])
    results = results_of(path)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
    except OSError as error:
        sys.exit(f"deltatune: {snakemake.rule} {disk.unwritable(error) or error}")
    name = _name(snakemake)
    terminal = Terminal(saved[1], name)
    status = 0
    try:
        kept = cache.of_job(snakemake, terminal.say, results) if cached else None
        if kept and kept.restore():
            integrity.record(snakemake.output, results)
            terminal.say(f"  {name}: found again")
            sys.exit()
        inputs = integrity.check(snakemake.input, results)
        taken = gpu_slots.take(_asked(snakemake, gpus), name, terminal.say)
        provenance.begin(inputs, snakemake.threads, taken)
        yield terminal
        if kept:
            kept.store()
        integrity.record(snakemake.output, results)
    except KeyboardInterrupt:
        terminal.interrupted()
        status = 128 + signal.SIGINT
    except UserError as error:
        _say(error, snakemake.rule, terminal)
        status = 1
    except Exception as error:
        _report(error, name, path, terminal)
        status = 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
    if status:
        sys.exit(status)


def _prepare_process(compiles: bool) -> None:
    leave_snakemakes_environment()
    if not compiles:
        leave_out_torch_compiler()
    keep_threads_from_spinning()
    signals.end_with_parent()
    with suppress(AttributeError):  # a locale that cannot write a word of the data stops nothing
        sys.stdout.reconfigure(errors="backslashreplace")


def _name(snakemake: Any) -> str:
    """Of a job: its rule and its wildcards."""
    wildcards = ", ".join(str(value) for value in snakemake.wildcards)
    return f"{snakemake.rule} {wildcards}".strip()


def _asked(snakemake: Any, gpus: int) -> int:
    """GPUs of a job. gpus: see `stage`."""
    return gpus if getattr(snakemake.resources, "gpu", 0) else 0


def _say(error: UserError, rule: str, terminal: Terminal) -> None:
    terminal.say(f"\ndeltatune: {rule} stopped.\n{error}\n")
    if isinstance(error, Stopped):
        terminal.interrupted()


def _report(error: Exception, name: str, log: Path, terminal: Terminal) -> None:
    """An error that is none of the user's: all of it in the log, a line on the terminal."""
    with suppress(OSError):
        traceback.print_exc()
        sys.stderr.flush()
    if message := disk.unwritable(error):
        terminal.say(f"\ndeltatune: {name} {message}\n")
    else:
        terminal.say(
            f"\ndeltatune: {name} failed unexpectedly "
            f"({type(error).__name__}: {str(error)[:300]}). The details are in {log}.\n"
        )

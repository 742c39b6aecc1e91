"""What the interpreter, the kernel and snakemake have no public way to, each with the version that
it was seen in. tests/workflow/test_forked_jobs.py fails where one of them is not as it is here.

Imports nothing of the library, see `fork_server`.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

_PR_SET_NAME = 15  # <linux/prctl.h>

# ---------------------------------------------------------------- Python 3.11 to 3.14


def open_standard_streams() -> None:
    """Text streams on the descriptors 0 to 2, as the interpreter has at its start, and no folder
    for temporary files that was chosen before."""
    for target, (name, mode, buffering) in enumerate(
        (("stdin", "r", -1), ("stdout", "w", -1), ("stderr", "w", 1))
    ):
        earlier = getattr(sys, name)
        form = {"encoding": earlier.encoding, "errors": earlier.errors, "closefd": False}
        setattr(sys, name, open(target, mode, buffering, **form))  # noqa: SIM115
    tempfile.tempdir = None


def run_script(arguments: list[str], folder: str) -> None:
    """As the interpreter runs a file: `__main__` is a module of its own, which others find.

    folder: of the script that the interpreter has run itself, whose place on the path this one's
    takes.
    """
    script = arguments[0]
    if sys.path and sys.path[0] == folder:
        sys.path[0] = os.path.dirname(script)
    sys.argv = arguments
    main = type(sys)("__main__")
    main.__file__, main.__builtins__ = script, __builtins__
    sys.modules["__main__"] = main
    with open(script, "rb") as file:
        exec(compile(file.read(), script, "exec"), vars(main))


def status_of(end: SystemExit) -> int:
    """The exit status; a message is printed, as the interpreter does."""
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


def end_process(status: int) -> None:
    """The end of the interpreter, but for the objects: freeing those of torch and transformers
    takes 0.4 s of CPU time, and the kernel does without."""
    with suppress(BaseException):
        threading._shutdown()
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    ctypes.CDLL(None).fflush(None)
    os._exit(status & 0xFF)


# ---------------------------------------------------------------- Linux


def show_as(command: list[str]) -> None:
    """Let `ps` and `top` show a command: the kernel reads it from this process's memory."""
    stem = os.path.basename(command[1]).split(".")[-2]
    with suppress(OSError, ValueError, IndexError):
        ctypes.CDLL(None).prctl(_PR_SET_NAME, stem.encode(), 0, 0, 0)
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
            numbers = file.read().rpartition(")")[2].split()
        start, end = int(numbers[45]), int(numbers[46])  # arg_start, arg_end: proc_pid_stat(5)
        shown = b"\0".join(os.fsencode(part) for part in command)[: end - start - 1]
        if start:
            ctypes.memmove(start, shown.ljust(end - start, b"\0"), end - start)


# ---------------------------------------------------------------- snakemake


def start_jobs_by(start: Callable[[str, Any, dict[str, str]], Any]) -> None:
    """Ask `start(command, stdout, env)` for the process of each job's command, first.

    Snakemake 9.27 starts one by `subprocess.Popen` and has no way to start it otherwise but a shell
    or a prefix; of what these ask another process to do, its benchmark would measure nothing.
    """

    def popen(command: Any, **options: Any) -> Any:
        stdout = options.get("stdout")
        is_read = stdout == subprocess.PIPE or not isinstance(command, str)
        started = None if is_read else start(command, stdout, options["env"])
        return started or subprocess.Popen(command, **options)

    sys.modules["snakemake.shell"].sp = SimpleNamespace(**{**vars(subprocess), "Popen": popen})

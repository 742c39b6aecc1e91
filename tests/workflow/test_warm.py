"""Processes of warm_python are what a process started by itself would be.

That results are the same, to the last byte, is seen where a run is compared with `small_run`, whose
processes load their packages themselves (end_to_end/test_bad_days.py).
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress

import pytest
import warm_python

SCRIPT = """
import os, sys
print("out", os.getcwd(), os.environ["ASKED"], *sys.argv, flush=True)
print("loaded", "torch" in sys.modules, "deltatune" in sys.modules, __name__)
print("err", sys.stdin.read(), file=sys.stderr)
"""


@pytest.fixture
def start(tmp_path):
    """Start a script as snakemake starts those of a run."""

    def start(code: str) -> subprocess.Popen:
        script = tmp_path / ".snakemake/scripts/tmp.rule.py"
        script.parent.mkdir(parents=True)
        script.write_text(code)
        return subprocess.Popen(
            [sys.executable, str(script)],
            cwd=tmp_path,
            env=os.environ | {"ASKED": "é"} | warm_python.variables(dict(os.environ)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_it_has_folder_variables_arguments_and_files(start, tmp_path):
    process = start(SCRIPT)
    out, err = process.communicate("in", timeout=600)
    script = tmp_path / ".snakemake/scripts/tmp.rule.py"
    assert out == f"out {tmp_path} é {script}\nloaded True False __main__\n"
    assert (err, process.returncode) == ("err in\n", 0)


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('a message')", 1, "a message\n"),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL, ""),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
    ],
)
def test_it_ends_as_that_does(start, code, status, error):
    process = start(code)
    _, err = process.communicate(timeout=600)
    assert (process.returncode, err[-len(error) :] if error else err) == (status, error)


def test_it_ends_with_who_started_it(start):
    process = start("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    pid = int(process.stdout.readline())
    process.kill()
    process.wait(60)
    with suppress(ProcessLookupError):
        ended = os.pidfd_open(pid)
        assert select.select([ended], [], [], 60)[0]
        os.close(ended)

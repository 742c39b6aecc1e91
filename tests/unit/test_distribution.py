"""The distribution of the tests over processes, which names files."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT
from distribution import BY_PARAMETER, SLOW, SPREAD, group, rank


def test_the_files_that_begin_first_or_are_spread_are_there():
    names = {*SLOW, *SPREAD, BY_PARAMETER}
    assert [name for name in names if not (ROOT / "tests" / name).is_file()] == []


@pytest.mark.parametrize(
    ("nodeid", "expected"),
    [
        ("tests/unit/test_rooms.py::test_it[a/b-1]", "unit/test_rooms.py"),
        ("tests/workflow/test_reruns.py::test_it[a]", "tests/workflow/test_reruns.py::test_it[a]"),
        (f"tests/{BY_PARAMETER}::test_it[zephyr]", f"{BY_PARAMETER}[zephyr]"),
        (f"tests/{BY_PARAMETER}::test_it", BY_PARAMETER),
    ],
)
def test_groups_are_files_parameters_or_tests(nodeid, expected):
    assert group(nodeid) == expected


def test_slow_files_begin_and_what_is_spread_fills_the_end():
    files = ["workflow/test_reruns.py", "unit/test_rooms.py", SLOW[1], SLOW[0]]
    ranked = sorted(files, key=lambda file: rank(f"tests/{file}::test_it"))
    assert ranked == [SLOW[0], SLOW[1], "unit/test_rooms.py", "workflow/test_reruns.py"]


def test_a_group_runs_in_one_process():
    """By the plugin itself, whose hooks change from version to version."""
    command = ["-m", "pytest", "-n", "2", "--dist", "loadfile", "-v", "-p", "no:cacheprovider"]
    files = ["tests/unit/test_core_text.py", "tests/unit/test_core_disk.py"]
    done = subprocess.run(
        [sys.executable, *command, *files], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:]
    workers: dict[str, set[str]] = {file: set() for file in files}
    for line in done.stdout.splitlines():
        if line.startswith("[gw"):
            workers[line.split("PASSED ")[1].split("::")[0]].add(line.split("]")[0])
    assert [len(names) for names in workers.values()] == [1, 1]

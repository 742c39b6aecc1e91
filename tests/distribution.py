"""How the tests are distributed over the processes of pytest-xdist, under `--dist loadfile`.

A group runs in one process: a file, since its tests share what a fixture has made, or less where
they need not; those of browsers are one group. Slow groups begin first. pytest-xdist 3.8 has
`--dist loadgroup` for groups, which under pytest 9.2 puts each test into a group of its own (node
ids are objects there).
"""

from __future__ import annotations

#: Files that take minutes, in the order in which they begin: with one of them at the end, all
#: workers but one would stand idle. Those that wait for something come beside those that compute.
SLOW = (
    "end_to_end/test_default_run.py",
    "slurm/test_slurm.py",
    "presets/test_presets_end_to_end.py",
    "end_to_end/test_bad_days.py",
    "end_to_end/test_archive_run.py",
    "end_to_end/test_killed_training.py",
    "end_to_end/test_merge.py",
    "end_to_end/test_real_files.py",
    "end_to_end/test_anywhere.py",
    "end_to_end/test_small_run.py",
    "end_to_end/test_ten_sources.py",
    "end_to_end/test_reruns_for_real.py",
    "end_to_end/test_try_model.py",
    "end_to_end/test_many_records.py",
    "end_to_end/test_train_processes.py",
    "unit/test_train_checkpoints.py",
)
#: Files whose tests need not run in one process: what they share is made once for all processes.
#: Those that are not slow come last, and fill what is left.
SPREAD = {
    "end_to_end/test_bad_days.py",
    "end_to_end/test_reruns_for_real.py",
    "end_to_end/test_small_run.py",
    "end_to_end/test_try_model.py",
    "workflow/test_reruns.py",
}
#: The file whose tests share a run with those of the same parameter alone.
BY_PARAMETER = "presets/test_presets_end_to_end.py"


def file_of(nodeid: str) -> str:
    """`unit/test_rooms.py` of `tests/unit/test_rooms.py::test_it[1]`."""
    return nodeid.partition("::")[0].removeprefix("tests/")


def group(nodeid: str) -> str:
    """The name of the group that a test belongs to."""
    file, parameter = file_of(nodeid), nodeid.partition("[")[2]
    if file.startswith("browser/"):
        return "browser"
    if file in SPREAD:
        return nodeid
    return f"{file}[{parameter}" if file == BY_PARAMETER and parameter else file


def rank(nodeid: str) -> int:
    """The order of the groups: slow files, all others, spread files that are not slow."""
    file = file_of(nodeid)
    if file in SLOW:
        return SLOW.index(file)
    return len(SLOW) + (file in SPREAD)

"""Behavior of packages that the workflow works around, each with the version that it was seen in.
tests/unit/test_workflow_upstream.py fails when one can go."""

from __future__ import annotations

import re
import shlex
import sys
from base64 import urlsafe_b64encode
from pathlib import Path
from types import TracebackType
from typing import Any

from snakemake.exceptions import WorkflowError
from snakemake.persistence import PersistenceBase

from deltatune.core.text import printable

# ---------------------------------------------------------------- snakemake


class Refused(WorkflowError):
    """What ends a run before it begins, with a message for the person alone.

    A workflow that imports this one gets it as the WorkflowError that it is. Snakemake 9.27 shows
    where any exception comes from, file by file and with lines, which helps nobody who has to edit
    config.yaml: so this one has no traceback.
    """

    def __init__(self, message: str) -> None:
        super().__init__(f"\ndeltatune: {printable(message)}\n")

    @property
    def __traceback__(self) -> None:
        return None

    @__traceback__.setter
    def __traceback__(self, value: TracebackType | None) -> None:
        pass


class _Interpreter(str):
    """A path that is quoted where it is put into a text, which is what a shell is given."""

    def __format__(self, form: str) -> str:
        return shlex.quote(format(str(self), form))


def quote_interpreter() -> None:
    """Snakemake 9.27 puts the path of Python into the command of a script as it is. In a folder
    whose name has a space, as the project's with its .venv, the shell would look for half of it."""
    if not isinstance(sys.executable, _Interpreter):
        sys.executable = _Interpreter(sys.executable)


def is_recorded(path: str) -> bool:
    """Whether Snakemake knows how a result was made, from a run in this folder.

    Snakemake 9.27 has no way to ask before the jobs are planned, and where it plans none it says
    no more. Its records are files in .snakemake/metadata, named by the path of the result in
    base64, in folders of at most 254 characters; see `records_are_files`.
    """
    name = urlsafe_b64encode(path.encode()).decode()
    parts = [name[start : start + 254] for start in range(0, len(name), 254)]
    folders = [f"@{part}" for part in parts[:-1]]
    return Path(".snakemake", "metadata", *folders, parts[-1]).exists()


def records_are_files(workflow: Any) -> bool:
    """Not where it was started with `--persistence-backend db`."""
    return workflow.workflow_settings.persistence_backend.name == "FILE"


def compare_by_any_record() -> None:
    """Let a job be compared by those of its outputs that Snakemake has a record of.

    Snakemake 9.27 compares neither params nor inputs of a job of which one output has no record.
    Where a rule makes one file more than in the last run (in a newer version of the project; a page
    of a table that a setting adds), and nothing asks for that file, no edit would be seen.
    """

    def has_metadata(self: Any, job: Any) -> bool:
        return not job.output or any(self.metadata(path) is not None for path in job.output)

    PersistenceBase.has_metadata = has_metadata


# ---------------------------------------------------------------- the conda environments

#: torch from PyPI (2.13.0) asks for CUDA's packages by version, the CPU build for none of them.
#: The env files serve both, so what CUDA needs is left to torch.
CUDA_PACKAGES = re.compile(r"nvidia-|cuda-|triton$")

#: gptqmodel 7.6.0 lists tools for building among what it needs. They need nothing in turn, and
#: nothing here needs them.
BUILD_TOOLS = {"maturin", "ninja"}

#: Env file -> package -> the version that stands there in place of that of constraints.txt.
#: gptqmodel 7.6.0 asks for numpy 2.2.6 alone, snakemake-executor-plugin-slurm for 2.4.5 or newer.
OTHER_VERSIONS = {"gptq": {"numpy": "2.2.6"}}

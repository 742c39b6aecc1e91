"""Behavior of packages that the workflow works around, each with the version that it was seen in.
tests/unit/test_workflow_upstream.py fails when one can go."""

from __future__ import annotations

import re
from types import TracebackType

from snakemake.exceptions import WorkflowError

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

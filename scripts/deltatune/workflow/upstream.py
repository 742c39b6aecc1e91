"""What packages ask for and the conda environments do not give them, each with the version that it
was seen in. tests/unit/test_workflow_upstream.py fails when one can go."""

from __future__ import annotations

import re

#: torch from PyPI (2.13.0) asks for CUDA's packages by version, the CPU build for none of them.
#: The env files serve both, so what CUDA needs is left to torch.
CUDA_PACKAGES = re.compile(r"nvidia-|cuda-|triton$")

#: gptqmodel 7.6.0 lists tools for building among what it needs. They need nothing in turn, and
#: nothing here needs them.
BUILD_TOOLS = {"maturin", "ninja"}

#: Env file -> package -> the version that stands there in place of that of constraints.txt.
#: gptqmodel 7.6.0 asks for numpy 2.2.6 alone, snakemake-executor-plugin-slurm for 2.4.5 or newer.
OTHER_VERSIONS = {"gptq": {"numpy": "2.2.6"}}

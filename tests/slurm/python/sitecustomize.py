"""Python runs this at the start of each process whose PYTHONPATH names this folder."""

import os
import runpy
from pathlib import Path

import checks  # noqa: F401
import faults  # noqa: F401
import loaded  # noqa: F401

# The snakemake of a job is forked, see there; scripts are not.
if "SLURM_JOB_ID" in os.environ:
    runpy.run_path(str(Path(__file__).parents[2] / "warm/sitecustomize.py"))

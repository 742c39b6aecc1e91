"""A script is a child of snakemake itself, so that signals and snakemake's end reach it."""

from __future__ import annotations

from pathlib import Path

from conftest import run_snakemake, small, write_config

PARENT = """
import os, sys
from pathlib import Path
if sys.orig_argv[-1].endswith(".fetch_dataset.py"):
    parent = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().decode().split("\\0")
    Path("parent.txt").write_text(" ".join(parent))
"""


def test_no_shell_stays_between_them(project: Path, default_config):
    write_config(project, small(default_config))
    # What follows a command keeps any bash waiting behind it, as old ones do anyway.
    with (project / "rules/common.smk").open("a") as rules:
        rules.write('\nshell.suffix("; true")\n')
    python = project / "python"
    python.mkdir()
    (python / "sitecustomize.py").write_text(PARENT)
    target = "results/datasets/news/records.parquet"
    done = run_snakemake(project, "--cores", "1", target, PYTHONPATH=str(python))
    assert done.returncode == 0, done.stdout
    parent = (project / "parent.txt").read_text()
    assert "bash" not in parent and "snakemake" in parent

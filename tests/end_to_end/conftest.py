"""One finished run of the default made small, shared by the tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from conftest import copy_project, run_snakemake, small


def write_config(project: Path, config: dict) -> None:
    (project / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


@pytest.fixture(scope="session")
def small_run(tmp_path_factory, default_config) -> Path:
    """A project folder in which the small run is done."""
    project = copy_project(tmp_path_factory.mktemp("small") / "project")
    write_config(project, small(yaml.safe_load(yaml.safe_dump(default_config))))
    done = run_snakemake(project, "--cores", "2")
    assert done.returncode == 0, done.stdout[-5000:]
    return project

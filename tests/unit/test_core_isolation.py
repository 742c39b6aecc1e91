"""What a script can import that runs in another environment than snakemake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

SCRIPT = f"""
import sys
sys.path += [sys.argv[1], sys.argv[1] + "/more/site-packages", {str(ROOT / "scripts")!r}]
import snakemake
from deltatune.core import isolation
isolation.leave_snakemakes_environment()
import snakemake.logging
import importlib.util
print([name for name in ("beside", "further") if importlib.util.find_spec(name)])
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with a package called snakemake and another one, and a further folder."""
    (tmp_path / "snakemake").mkdir()
    (tmp_path / "more/site-packages").mkdir(parents=True)
    further = "more/site-packages/further.py"
    for name in ("snakemake/__init__.py", "snakemake/logging.py", "beside.py", further):
        (tmp_path / name).touch()
    return tmp_path


def found(elsewhere: Path, **environment: str) -> str:
    # -S leaves out this environment's packages, snakemake among them, as in one of conda's.
    done = subprocess.run(
        [sys.executable, "-S", "-c", SCRIPT, elsewhere],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return done.stdout.strip()


def test_a_package_beside_snakemake_is_not_found(elsewhere):
    assert found(elsewhere) == "[]"


def test_what_the_user_put_on_the_path_is(elsewhere):
    assert found(elsewhere, PYTHONPATH=str(elsewhere)) == "['beside']"


def test_without_an_environment_of_its_own_nothing_changes():
    """Here snakemake lies where all the others do."""
    code = (
        "import sys, snakemake; from deltatune.core import isolation; before = list(sys.path);"
        "isolation.leave_snakemakes_environment(); print(sys.path == before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "scripts",
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == "True"

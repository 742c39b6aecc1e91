"""The stand-in for conda refuses what it does not know, so that no test passes by its silence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from environments import STANDIN, from_outside

FILE = """channels: [conda-forge]
dependencies:
  - python ={python}
  - pip
  - pip:
      - six==1.17.0
"""
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
CREATE = ("env", "create", "--quiet", "--no-default-packages")


def conda(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [STANDIN / "bin/conda", *arguments],
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def create(folder: Path, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "env.yaml").write_text(text)
    paths = ("--file", str(folder / "env.yaml"), "--prefix", str(folder / "built"))
    return conda(*CREATE, *paths, **environment)


@pytest.mark.parametrize(
    "arguments",
    [
        ("install", "numpy"),
        ("info",),
        ("env", "create", "--prefix", "x"),
        (*CREATE, "--file", "x", "--prefix", "y", "--yes"),
    ],
)
def test_a_call_that_it_does_not_know_is_refused(arguments):
    assert conda(*arguments).returncode != 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FILE.replace("  - pip\n", "  - pip\n  - numpy =2.4\n"), "cannot install 'numpy =2.4'"),
        (FILE.replace("six==1.17.0", "six>=1.17"), "no exact version of six>=1.17"),
        (FILE.replace("six==1.17.0", "six"), "no exact version of six"),
        (FILE + "variables: {A: 1}\n", "no other key"),
        (FILE.replace("  - python ={python}\n", ""), "no version of Python"),
        (FILE.replace("{python}", "3.1"), "finds no python3.1"),
    ],
)
def test_a_file_that_it_cannot_build_is_refused(tmp_path, text, message):
    done = create(tmp_path, text.replace("{python}", HERE))
    assert done.returncode != 0 and message in done.stdout
    assert not (tmp_path / "built").exists()


def test_an_environment_sees_nothing_but_itself(tmp_path):
    """A package that is in the calling environment, and on PYTHONPATH, is not in the new one."""
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "seen_through_the_path.py").touch()
    beside = {"PYTHONPATH": str(tmp_path / "beside"), "PIP_CONSTRAINT": str(tmp_path / "none")}
    done = create(tmp_path, FILE.replace("{python}", HERE), **beside)
    assert done.returncode == 0, done.stdout
    look = subprocess.run(
        [
            "bash",
            "-c",
            f"source {STANDIN}/bin/activate {tmp_path}/built && python -c '{LOOK}'",
        ],
        env={**os.environ, **beside},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seen = json.loads(look.stdout)
    assert seen.pop("prefix") == str(tmp_path / "built")
    assert seen == {"six": True, "pip": False, "yaml": False, "seen_through_the_path": False}


LOOK = """
import importlib.util, json, sys
names = ("six", "pip", "yaml", "seen_through_the_path")
there = {name: importlib.util.find_spec(name) is not None for name in names}
print(json.dumps({"prefix": sys.prefix, **there}))
"""


def test_an_environment_that_is_not_there_cannot_be_entered(tmp_path):
    done = subprocess.run(["bash", "-c", f"source {STANDIN}/bin/activate {tmp_path}; true"])
    assert done.returncode == 1


def test_what_a_job_loads_from_outside_is_seen(tmp_path):
    files = {
        "os": "/python/lib/python3.11/os.py",
        "six": "/env/lib/python3.11/site-packages/six.py",
        "deltatune": str(tmp_path / "scripts/deltatune/__init__.py"),
        "yaml": "/python/lib/python3.11/site-packages/yaml/__init__.py",
        "torch": "/other/lib/python3.11/site-packages/torch/__init__.py",
    }
    record = {"prefix": "/env", "standard": ["/python"], "files": files}
    assert from_outside(record, tmp_path) == {"yaml", "torch"}

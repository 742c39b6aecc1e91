"""snakemake --use-conda with the stand-in for conda: what tests of it share."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from conftest import ROOT, run_snakemake
from filelock import FileLock

STANDIN = Path(__file__).resolve().parent / "standin"
#: Environments are kept beside the tests' own packages while their files stay as they are.
KEPT = (Path(sys.prefix) if sys.prefix != sys.base_prefix else ROOT / ".venv") / "conda"


def run(project: Path, *arguments: str, watch: Path | None = None, timeout: float = 3600):
    """snakemake --use-conda in a project's folder, with the stand-in first on the path.

    watch: a folder for the records of what each job loaded, see standin/watch.
    Where there is no Python 3.11 to build environments with, snakemake runs without them.
    """
    if not available():
        return run_snakemake(project, *arguments, timeout=timeout)
    path = os.pathsep.join([str(STANDIN / "bin"), str(Path(sys.executable).parent)])
    environment = {"PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    if watch:
        watch.mkdir(exist_ok=True)
        environment["STANDIN_WATCH"] = str(watch)
    conda = ("--use-conda", "--conda-prefix", str(KEPT))
    KEPT.mkdir(parents=True, exist_ok=True)
    # Tests run in several processes: the first that needs the environments builds them.
    with FileLock(KEPT.with_suffix(".lock")):
        remove_old()
        built = run_snakemake(
            project, *conda, "--conda-create-envs-only", "--cores", "1", **environment
        )
    if built.returncode != 0:
        return built
    return run_snakemake(project, *conda, *arguments, timeout=timeout, **environment)


def available() -> bool:
    return platform.python_version().startswith("3.11.") or bool(shutil.which("python3.11"))


def remove_old() -> None:
    """Delete what was built from files that are no longer so."""
    wanted = {file.read_bytes() for file in (ROOT / "envs").glob("*.yaml")}
    for file in KEPT.glob("*.yaml"):
        if file.read_bytes() not in wanted:
            shutil.rmtree(file.with_suffix(""), ignore_errors=True)
            file.with_suffix(".env_setup_done").unlink(missing_ok=True)
            file.unlink()


def built() -> dict[str, Path]:
    """Stem of an env file -> the prefix that was built from a file with these bytes."""
    prefixes = {file.read_bytes(): file.with_suffix("") for file in KEPT.glob("*.yaml")}
    names = {file.stem: file.read_bytes() for file in (ROOT / "envs").glob("*.yaml")}
    return {name: prefixes[content] for name, content in names.items() if content in prefixes}


def jobs(watch: Path) -> Iterator[dict]:
    """What each job recorded at its end; `rule` is the name of its script."""
    for file in watch.glob("*.json"):
        record = json.loads(file.read_text())
        # Snakemake runs a copy, tmpab12cd34.train_adapter.py.
        yield {**record, "rule": record["script"].split(".")[1]}


def from_outside(record: dict, project: Path) -> set[str]:
    """Modules of a job that are neither of its environment, nor Python's, nor the project's."""
    home = [record["prefix"], str(project), str(STANDIN)]
    names = set()
    for name, file in record["files"].items():
        standard = file.startswith(tuple(record["standard"])) and "site-packages" not in file
        if not standard and not file.startswith(tuple(home)):
            names.add(name)
    return names

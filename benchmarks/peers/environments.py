"""An environment for each peer, beside the one of this project."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
#: Peer -> what pip installs. lm_eval is asked by this project's own process, beside its packages.
REQUIREMENTS = {
    "trl": HERE / "trl.txt",
    "unsloth": HERE / "unsloth.txt",
    "lm_eval": ROOT / "requirements-lm-eval.txt",
}


@dataclass(frozen=True)
class Environment:
    """python: the interpreter. paths: folders of packages that come before its own."""

    python: str = sys.executable
    paths: tuple[Path, ...] = ()

    def run(self, module: str, spec: Path, log: Path, limit: float, scratch: Path) -> int:
        """Run one of the modules of this folder, and return its status; 124 where it took longer
        than `limit` seconds. log: what it prints."""
        places = [*self.paths, HERE.parent, ROOT / "scripts"]
        if self.python == sys.executable and os.environ.get("PYTHONPATH"):
            places.append(os.environ["PYTHONPATH"])
        path = os.pathsep.join(map(str, places))
        variables = {
            **os.environ,
            "PYTHONPATH": path,
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "UNSLOTH_COMPILE_LOCATION": str(scratch / "unsloth_compiled_cache"),
            "UNSLOTH_DISABLE_STATISTICS": "1",
        }
        command = [self.python, "-P", "-m", f"peers.{module}", str(spec)]
        with log.open("w") as file:
            try:
                done = subprocess.run(
                    command,
                    env=variables,
                    cwd=scratch,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    timeout=limit,
                )
            except subprocess.TimeoutExpired:
                return 124
        return done.returncode


def environment(peer: str | None, folder: Path, wheels: Path | None) -> Environment:
    """The environment of a peer, installed below `folder` where it is not there yet.

    wheels: a folder with a folder of wheels for each peer, which are laid over the packages of this
    interpreter; None: they come from the registry, with the same torch. peer: None for this
    project alone, with lm_eval where it is installed.
    """
    if peer is None:
        return Environment()
    if wheels:
        place = folder / peer
        if not place.is_dir():
            files = sorted((wheels / peer).glob("*.whl"))
            if not files:
                raise SystemExit(f"--wheels: there is no wheel in {wheels / peer}")
            _pip(
                sys.executable,
                "--no-index",
                "--no-deps",
                "--no-compile",
                "--target",
                str(place),
                *files,
            )
        return Environment(paths=(place,))
    if peer == "lm_eval":
        # It is asked in one process with this project, whose packages are all that these parts of
        # it need; second copies of them would get in the way.
        place = folder / peer
        if not place.is_dir():
            _pip(sys.executable, "--no-deps", "--target", str(place), "-r", REQUIREMENTS[peer])
        return Environment(paths=(place,))
    place = folder / f"{peer}-venv"
    python = place / "bin" / "python"
    if not python.is_file():
        venv.create(place, with_pip=True)
        _pip(str(python), f"torch=={version('torch')}", "-r", REQUIREMENTS[peer])
    return Environment(str(python))


def _pip(python: str, *arguments: str | Path) -> None:
    quiet = ["--quiet", "--disable-pip-version-check"]
    command = [python, "-m", "pip", "install", *quiet, *map(str, arguments)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    # It also warns of packages beside a target, which are no concern of what is installed into it.
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")

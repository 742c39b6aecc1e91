"""The two fetching scripts against the stand-in hub, each run in a process of its own.

The clients read HF_HOME and HF_ENDPOINT once, when they are imported; what else a script loads is
there in the process that it is forked from.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import warm_python
from standin_hub import Hub

CANARY = "hf_canary0123456789abcdefghijklmnop"
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def project(part: dict) -> dict:
    """A config with the datasets and models of `part` in it."""
    sample = {"source": "sample", "name": "prose"}
    return {
        "datasets": {"sample": sample} | part.get("datasets", {}),
        "models": {"tiny": {"source": "pretrain", "corpus": ["t"]}} | part.get("models", {}),
        "tasks": {"t": {"kind": "prose", "dataset": "sample"}},
        "experiments": {"e": {"model": "tiny", "task": "t"}},
    }


@dataclass
class Fetch:
    """A project folder and a cache of its own. Its methods return what the terminal showed."""

    folder: Path
    hub: Hub
    token: str | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def dataset(self, fails: bool = False, **settings) -> str:
        return self._run("fetch_dataset", {"datasets": {"x": settings}}, fails)

    def model(self, fails: bool = False, **settings) -> str:
        return self._run("fetch_model", {"models": {"x": settings}}, fails)

    def _run(self, rule: str, part: dict, fails: bool) -> str:
        config = project(part)
        asked = {"rule": rule, "name": "x", "config": config, "scripts": str(SCRIPTS)}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
        environment = {
            **inherited,
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.cache),
            **({"HF_TOKEN": self.token} if self.token else {}),
            **self.environment,
        }
        done = subprocess.run(
            [sys.executable, str(warm_python.FOLDER / "fetch.py"), json.dumps(asked)],
            cwd=self.folder,
            env=environment | warm_python.variables(environment, "fetching"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        log = (self.folder / f"results/logs/{rule}/x.log").read_text()
        assert done.returncode == (1 if fails else 0), done.stdout + log
        if fails:
            assert "Traceback" not in done.stdout + log, done.stdout + log
        return done.stdout

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def blobs(self) -> list[Path]:
        return [path for path in self.cache.glob("hub/*/blobs/*") if path.is_file()]

    def manifest(self, kind: str) -> dict:
        return json.loads((self.folder / f"results/{kind}/x/manifest.json").read_text())

    def secrets(self) -> list[str]:
        """Files of the run that hold the canary token, or the key to the hub's storage."""
        return [
            str(path)
            for path in self.folder.rglob("*")
            if path.is_file()
            and path.name != "token"  # where the login is stored
            and any(secret in path.read_bytes() for secret in (CANARY.encode(), b"short-lived"))
        ]

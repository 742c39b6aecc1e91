"""The two fetching scripts against the stand-in hub, each run in a process of its own.

The clients read HF_HOME and HF_ENDPOINT once, when they are imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from standin_hub import Hub

CANARY = "hf_canary0123456789abcdefghijklmnop"
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"

# Runs scripts/fetch_*.py as Snakemake does, without its start-up, and waits for nothing.
DRIVER = """
import json, runpy, shutil, sys, time, types
from pathlib import Path

asked = json.loads(sys.argv[1])
sleep, time.sleep = time.sleep, lambda seconds: sleep(min(seconds, 0.01))
sys.path.insert(0, asked["scripts"])
from deltatune.workflow.flow import Flow

flow, rule, name = Flow(asked["config"]), asked["rule"], asked["name"]
if rule == "fetch_dataset":
    folder, files = Path("results/datasets") / name, ["records.parquet", "rejects.csv"]
    job = types.SimpleNamespace(dataset=name)
    settings, source = flow.params.fetch_dataset(job), flow.inputs.fetch_dataset(job)
else:
    folder, files = Path("results/models") / name, ["model", "weights.sha256", "tokenizer.sha256"]
    settings, source = flow.params.fetch_model(types.SimpleNamespace(model=name)), []
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)
outputs = {Path(file).stem: str(folder / file) for file in [*files, "manifest.json"]}
# As Snakemake gives it: a list whose members have names.
made = type("Files", (list,), {})(outputs.values())
vars(made).update(outputs)
snakemake = types.SimpleNamespace(
    log=[f"results/logs/{rule}/{name}.log"], wildcards=[name], rule=rule,
    params=types.SimpleNamespace(settings=settings), input={"source": source},
    output=made, threads=1, resources=None,
)
runpy.run_path(f"{asked['scripts']}/{rule}.py", init_globals={"snakemake": snakemake})
"""


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
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, json.dumps(asked)],
            cwd=self.folder,
            env={
                **inherited,
                "HF_ENDPOINT": self.hub.url,
                "HF_HOME": str(self.cache),
                **({"HF_TOKEN": self.token} if self.token else {}),
                **self.environment,
            },
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

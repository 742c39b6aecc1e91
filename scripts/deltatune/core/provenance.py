"""Where, when and by which code a job ran, and on which data: a part of every manifest.

It is read by the report and by people alone. No stage depends on it: the commit says nothing that
the digests of the code do not say better, and times differ from run to run.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deltatune.core.paths import ROOT

CODE = ("Snakefile", "rules", "scripts", "envs")
"""What of the project decides a job's results, its settings and data apart: those are in the
manifest themselves."""

_STARTED = datetime.now(UTC)
_job: dict[str, Any] = {}
"""Of the one job of this process, see `begin`."""


def begin(inputs: Mapping[str, str], threads: int, gpus: Sequence[str] = ()) -> None:
    """Remember what a job starts from: code is loaded now, and may be edited before its end.

    inputs: path -> sha256 of the inputs that have one. threads: those that Snakemake gave it.
    gpus: numbers of the GPUs that it took, see `gpu_slots`.
    """
    _job.update(inputs=dict(inputs), threads=threads, gpus=list(gpus), **code_version())


def record() -> dict[str, Any]:
    """For a manifest. inputs: path -> sha256; job: what stands below.

    commit: of the project, with modified: whether `CODE` differs from it; null where there is no
    git checkout. started, ended: UTC, as ISO 8601. processor, gpu: names; gpu where there is one,
    with gpu_numbers: which of the machine's, where the job took them (`gpu_slots`).
    threads: those of torch where it is used, else those that Snakemake gave.
    """
    known = dict(_job)
    inputs = known.pop("inputs", {})
    torch = sys.modules.get("torch")
    on_gpu = torch is not None and torch.cuda.is_available()
    job = {
        "commit": known.get("commit"),
        "modified": known.get("modified"),
        "started": _utc(_STARTED),
        "ended": _utc(datetime.now(UTC)),
        "processor": processor(),
        **({"gpu": torch.cuda.get_device_name()} if on_gpu else {}),
        **({"gpu_numbers": numbers} if on_gpu and (numbers := known.get("gpus")) else {}),
        "threads": torch.get_num_threads() if torch is not None else known.get("threads", 1),
    }
    return {"inputs": inputs, "job": job}


def code_version(root: Path = ROOT) -> dict[str, Any]:
    """commit: 40 hex digits, or None; modified: whether files of `CODE` differ from it."""
    try:
        if not _git(root, "ls-files", "--", *CODE):
            return {"commit": None, "modified": None}
        return {
            "commit": _git(root, "rev-parse", "HEAD"),
            "modified": bool(_git(root, "status", "--porcelain", "--", *CODE)),
        }
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "modified": None}


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The name of the processor; that of its kind where the system does not say more."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, names), platform.processor() or platform.machine())


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=root,
        # `status` would write to the index, which a person may be using.
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return done.stdout.strip()


def _utc(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")

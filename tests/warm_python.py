"""The servers of `warm/server.py`, one for each test process, set of packages and PYTHONPATH,
started when needed."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("warm")


def variables(environment: dict[str, str], loaded: str = "running") -> dict[str, str]:
    """What a process with these variables needs besides, so that it is forked from one that has
    loaded its packages: snakemake and its scripts ("running"), or `warm/fetch.py` ("fetching")."""
    above = environment.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, [str(FOLDER), above]))
    return {"WARM": _server(above, loaded), "PYTHONPATH": path}


@cache
def _server(path: str, loaded: str) -> str:
    """The address of one whose modules come from PYTHONPATH too."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    address, log = folder / "socket", folder / "log"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE_"))}
    with log.open("w") as output:
        process = subprocess.Popen(
            # The spaces: forked_jobs.SHOWN.
            [sys.executable, str(FOLDER / "server.py"), str(address), loaded, " " * 1000],
            env={**kept, "HF_HUB_OFFLINE": "1", "PYTHONPATH": path},
            # It ends when the other end is closed: with this process, however that ends.
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    atexit.register(_stop, process)
    until = time.monotonic() + 600
    while not address.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"no server of warm processes:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)
    return str(address)


def _stop(process: subprocess.Popen) -> None:
    process.stdin.close()
    process.wait(60)

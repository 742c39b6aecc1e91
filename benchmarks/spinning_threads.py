"""What pre-training with two threads costs where they spin while they wait, and where they do not.

    python benchmarks/spinning_threads.py --steps 20 --beside 0 1

Each runs in a process of its own, with the settings of the default's tiny model but for the number
of steps, on the sample prose. --beside: how many processes compute without a pause at the same
time; of several numbers all is done beside each. The SHA-256 of the weights must be the same.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRETRAIN = """
import hashlib, sys, tempfile, time
from pathlib import Path
from deltatune.core import upstream
if sys.argv[1] == "wait":
    upstream.keep_threads_from_spinning()
from deltatune.models import device, pretrain
from deltatune.models.pretrain_settings import Pretraining
settings = Pretraining(source="pretrain", steps=int(sys.argv[2]))
device.prepare(settings.seed, settings.threads)
texts = Path(sys.argv[3]).read_text(encoding="utf-8").split("\\n\\n")
with tempfile.TemporaryDirectory() as folder:
    start, cpu = time.monotonic(), time.process_time()
    pretrain.pretrain(texts, settings, Path(folder), lambda text: None)
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    weights = Path(folder, "model.safetensors").read_bytes()
    print(f"{seconds:.1f} s, {cpu:.1f} s of CPU time, {hashlib.sha256(weights).hexdigest()[:12]}")
"""


def busy() -> None:
    while True:
        pass


def pretrain(threads: str, steps: int) -> str:
    """Seconds and hash. threads: `spin` or `wait`."""
    unset = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    done = subprocess.run(
        [sys.executable, "-c", PRETRAIN, threads, str(steps), str(ROOT / "data/sample/prose.txt")],
        cwd=ROOT / "scripts",
        env={name: value for name, value in os.environ.items() if name not in unset},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--beside", type=int, nargs="+", default=[0, 1])
    chosen = parser.parse_args()
    for beside in chosen.beside:
        others = [multiprocessing.Process(target=busy, daemon=True) for _ in range(beside)]
        for process in others:
            process.start()
        for threads in ("spin", "wait"):
            took = pretrain(threads, chosen.steps)
            print(f"beside {beside} busy processes, threads {threads}: {took}", flush=True)
        for process in others:
            process.kill()


if __name__ == "__main__":
    main()

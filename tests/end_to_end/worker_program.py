"""In place of `deltatune.train.worker`: processes that end in all the ways that these do."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from deltatune.core import signals

job = json.loads(Path(sys.argv[1]).read_text())
rank = int(os.environ["RANK"])
signals.end_with_parent()


def send(kind, content):
    with Path(job["messages"], f"{rank}.jsonl").open("a") as file:
        file.write(json.dumps({"kind": kind, "content": content}) + "\n")


def wait_for(path):
    while not Path(path).exists():
        time.sleep(0.02)


with signals.catch_stop_signals(again=True) as asked:
    Path(job["folder"], f"pid-{rank}").write_text(str(os.getpid()))
    for other in range(2):
        wait_for(Path(job["folder"], f"pid-{other}"))
    scenario = job["scenario"]
    if scenario == "out of memory":
        if job.get("batch"):
            send("result", {"batch": job["batch"]})
        elif rank == 1:
            send("out_of_memory", {"micro_batch_size": 4, "gradient_accumulation_steps": 2})
        time.sleep(30)
    elif scenario == "failed":
        if rank == 1:
            send("failed", "the second one cannot go on")
            sys.exit(1)
        time.sleep(30)  # as in a collective operation, for ever
    elif scenario == "killed":
        if rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        sys.exit(1)
    elif scenario == "asked":
        send("say", "ready")
        while not asked():
            time.sleep(0.02)
        send("user_error", "stopped at step 3")
        time.sleep(30)
    elif scenario == "forever":
        send("say", "ready")
        while not asked():
            time.sleep(0.02)
        Path(job["folder"], f"saved-{rank}").touch()

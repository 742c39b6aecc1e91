"""In place of `deltatune.train.worker`: processes that end in all the ways that these do."""

import os
import signal
import sys
import time
from pathlib import Path

from deltatune.core import signals
from deltatune.core.errors import UserError
from deltatune.models.batch import Batch, OutOfMemory, Passes
from deltatune.train.job import Trained
from deltatune.train.worker import Failed, Text


def wait_for(path):
    while not Path(path).exists():
        time.sleep(0.02)


def main(job, place, messages):
    """job.fingerprint: the scenario. job.output: a folder for the numbers of the processes."""
    signals.end_with_parent()
    with signals.catch_stop_signals(again=True) as asked:
        Path(job.output, f"pid-{place.rank}").write_text(str(os.getpid()))
        for other in range(place.processes):
            wait_for(Path(job.output, f"pid-{other}"))
        act(job, place.rank, messages, asked)


def act(job, rank, messages, asked):
    scenario = job.fingerprint
    if scenario == "out of memory":
        if job.passes:
            figures = {"passes": job.passes}
            messages.send(None if rank else Trained(None, figures, {}, "cpu", "fp32", "a test"))
        elif rank == 1:
            messages.send(OutOfMemory(Passes(Batch(4, 2), False, "as set")))
        time.sleep(30)
    elif scenario == "failed":
        if rank == 1:
            messages.send(Failed("the second one cannot go on"))
            sys.exit(1)
        time.sleep(30)  # as in a collective operation, for ever
    elif scenario == "killed":
        if rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        sys.exit(1)
    elif scenario == "killed while it sends":
        if rank == 1:
            # The length of a message, and no more of it.
            os.write(messages.fileno(), (1000).to_bytes(4, "big") + b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(30)
    elif scenario == "asked":
        messages.send(Text("ready", progress=False))
        while not asked():
            time.sleep(0.02)
        messages.send(UserError("stopped at step 3"))
        time.sleep(30)
    elif scenario == "forever":
        messages.send(Text("ready", progress=False))
        while not asked():
            time.sleep(0.02)
        Path(job.output, f"saved-{rank}").touch()

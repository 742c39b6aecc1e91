"""What each process of distributed training does; `train.launch` starts them."""

from __future__ import annotations

import os
import threading
import time
import traceback
from dataclasses import dataclass
from functools import partial
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

from deltatune.core import signals
from deltatune.core.errors import Stopped, UserError
from deltatune.models import oom
from deltatune.models.batch import OutOfMemory
from deltatune.train.job import Job, Trained

#: Seconds to finish a step and save it in, once the launcher has gone.
GRACE = 180


class Failed(Exception):
    """One of the processes failed; its traceback is in the log."""


@dataclass(frozen=True)
class Text:
    """A line for a person. progress: one of many, see `stage.Terminal`."""

    text: str
    progress: bool


@dataclass(frozen=True)
class Place:
    """Which of the processes this is. store: a file through which they meet."""

    rank: int
    processes: int
    store: Path


def main(job: Job, place: Place, messages: Connection) -> None:
    """Train, and send Text, and in the end what came out: of the first process Trained, of others
    None, or of each an error. The launcher then ends all of them."""
    threading.Thread(target=_watchdog, daemon=True).start()
    signals.end_with_parent()
    outcome: Trained | Exception | None
    try:
        outcome = _train(job, place, messages)
    except OutOfMemory as error:
        traceback.print_exc()
        outcome = error
    except UserError as error:
        # Of whatever other class: the launcher needs not import it.
        outcome = (Stopped if isinstance(error, Stopped) else UserError)(str(error))
    except Exception as error:
        traceback.print_exc()
        if oom.out_of_memory(error):
            outcome = UserError(_too_large(job.settings.training.sharded))
        else:
            text = f"process {place.rank}: {type(error).__name__}: {str(error)[:300]}"
            outcome = Failed(text)
    messages.send(outcome)
    if isinstance(outcome, Exception):
        # Its end would be an error in the others, which might be read before this one.
        parent_process().join()


def _watchdog() -> None:
    """End this process some time after its launcher: one that waits on a GPU for another process,
    which was killed too, would not notice that it is asked to stop."""
    wait([parent_process().sentinel])
    time.sleep(GRACE)
    os._exit(1)


def _too_large(sharded: bool) -> str:
    advice = "" if sharded else "Set training.sharded: true, "
    verb = "Load" if sharded else "load"
    return (
        f"Out of memory while the base was loaded. {advice}{verb} it in fewer bits (quantization: "
        "nf4), or use GPUs with more memory."
    )


def _train(job: Job, place: Place, messages: Connection) -> Trained | None:
    if place.rank:
        # What the first one prints is enough; errors are printed by all.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    # Until the settings say how many; torch reads it when it is loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from deltatune.train import distributed

    distributed.join(place.rank, place.processes, place.store)
    from deltatune.train.train import setup

    if place.rank:
        trained = setup(job, progress=_quiet, say=_quiet)
    else:
        progress, say = partial(_send, messages, True), partial(_send, messages, False)
        trained = setup(job, progress=progress, say=say)
    # The first one has saved the adapter; now all may end.
    distributed.leave()
    return None if place.rank else trained


def _send(messages: Connection, progress: bool, text: str) -> None:
    messages.send(Text(text, progress))


def _quiet(text: str) -> None:
    """The first process says it."""

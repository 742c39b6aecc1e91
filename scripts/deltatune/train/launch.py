"""Start the processes of distributed training, and end them in every case.

They are spawned by multiprocessing, a GPU each, and do what `train.worker` says. Each has a pipe of
its own for its messages, so that one which is killed while it sends is in no other's way. A person
sees those of the first one. Needs no tensors to be imported.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path

from deltatune.core import signals
from deltatune.core.errors import Stopped, UserError
from deltatune.core.upstream import without_main_script
from deltatune.models.batch import OutOfMemory, smaller
from deltatune.train import worker
from deltatune.train.job import Job, Trained

#: Seconds after which a signal is passed on at the latest; messages are read at once.
SIGNAL_INTERVAL = 0.5


def run(
    job: Job, *, progress: Callable[[str], None] = print, say: Callable[[str], None] = print
) -> Trained:
    """`train.setup` in as many processes as the job's settings have GPUs.

    Where one of them runs out of memory, all start again with a smaller batch. A signal that asks
    to stop is passed on. However this is left, none of the processes is running any more.
    Raises UserError with the message of the process that had one, Stopped too, and
    worker.Failed for an error of any other kind.
    """
    with signals.catch_stop_signals() as stop_requested:
        while True:
            try:
                return _train(job, stop_requested, progress, say)
            except OutOfMemory as error:
                passes, message = smaller(error.passes)
            say(message)
            job = replace(job, passes=passes)


def _train(
    job: Job,
    stop_requested: Callable[[], bool],
    progress: Callable[[str], None],
    say: Callable[[str], None],
) -> Trained:
    trained = None
    with closing(_messages(job, stop_requested)) as messages:
        for message in messages:
            if isinstance(message, Exception):
                raise message
            if isinstance(message, Trained):
                trained = message
            elif isinstance(message, worker.Text):
                (progress if message.progress else say)(message.text)
    return trained


def _messages(
    job: Job, stop_requested: Callable[[], bool]
) -> Iterator[worker.Text | Trained | Exception | None]:
    """What the processes send, until each has sent what came out. An error where one ended without
    that, or was killed."""
    count = job.settings.training.gpus
    context = multiprocessing.get_context("spawn")
    processes, running = [], []
    with tempfile.TemporaryDirectory(prefix="deltatune-") as folder:
        try:
            for rank in range(count):
                place = worker.Place(rank, count, Path(folder, "store"))
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=worker.main, args=(job, place, sender))
                with without_main_script():
                    process.start()
                processes.append(process)
                sender.close()  # so that the receiver notices when the process ends
                running.append(receiver)
            passed_on = False
            while running:
                for receiver in wait(running, SIGNAL_INTERVAL):
                    try:
                        message = receiver.recv()
                    except (EOFError, OSError):
                        yield _ended(stop_requested())
                        return
                    if not isinstance(message, worker.Text):
                        running.remove(receiver)
                    yield message
                if stop_requested() and not passed_on:
                    passed_on = True
                    for process in processes:
                        process.terminate()
        finally:
            for process in processes:
                process.kill()
                process.join()


def _ended(stop_requested: bool) -> UserError:
    if stop_requested:
        return Stopped("Training was interrupted; the next run resumes from its last checkpoint.")
    return UserError(
        "A process of the training ended without a message. Mostly the system has killed it "
        "because it ran out of main memory: request more (mem_mb), or train on fewer GPUs "
        "(training.gpus)."
    )

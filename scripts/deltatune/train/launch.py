"""Start the processes of distributed training, and end them in every case.

`accelerate launch` starts them, a GPU each, and `train.worker` is what they run. They send their
messages through files, which are read here, so that a person sees those of one process. Needs no
tensors to be imported.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from deltatune.core import signals
from deltatune.core.errors import UserError
from deltatune.core.paths import SCRIPTS
from deltatune.models.batch import Batch, smaller_batch


class Failed(Exception):
    """One of the processes failed; its traceback is in the log."""


def run(
    job: dict[str, Any],
    processes: int,
    on_gpu: bool,
    *,
    progress: Callable[[str], None] = print,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Do a job in several processes: what `job.run` returned in the first of them.

    job: for `job.run`, as JSON. Where one of them runs out of memory, all start again with a
    smaller batch. A signal that asks to stop is passed on. However this is left, none of the
    processes is running any more.
    Raises UserError with the message of the process that had one, that of `train.Stopped` too, and
    Failed for an error of any other kind.
    """
    with signals.catch_stop_signals() as stop_requested:
        while True:
            used = None
            with (
                tempfile.TemporaryDirectory(prefix="deltatune-") as folder,
                closing(
                    _messages(job, processes, on_gpu, Path(folder), stop_requested)
                ) as messages,
            ):
                for kind, content in messages:
                    if kind == "progress":
                        progress(content)
                    elif kind == "say":
                        say(content)
                    elif kind == "user_error":
                        raise UserError(content)
                    elif kind == "failed":
                        raise Failed(content)
                    elif kind == "result":
                        return content
                    elif kind == "out_of_memory":
                        used = Batch(**content)
                        break
            if used is None:
                raise _ended(stop_requested())
            batch, message = smaller_batch(used)
            say(message)
            job = {**job, "batch": asdict(batch)}


def _ended(stop_requested: bool) -> UserError:
    if stop_requested:
        return UserError("Training was interrupted; the next run resumes from its last checkpoint.")
    return UserError(
        "A process of the training ended without a message. Mostly the system has killed it "
        "because it ran out of main memory: request more (mem_mb), or train on fewer GPUs "
        "(training.gpus)."
    )


def _messages(
    job: dict, processes: int, on_gpu: bool, folder: Path, stop_requested: Callable[[], bool]
) -> Iterator[tuple[str, Any]]:
    """(kind, content) of each message of the processes, until they have ended."""
    path = folder / "job.json"
    content = {**job, "messages": str(folder), "on_gpu": on_gpu}
    path.write_text(json.dumps(content), encoding="utf-8")
    launcher = _launch(path, processes, on_gpu)
    read = dict.fromkeys(range(processes), 0)
    passed_on = False
    try:
        ended = False
        while not ended:
            ended = launcher.poll() is not None  # before reading, so that nothing is missed
            for rank in read:
                for message in _unread(folder / f"{rank}.jsonl", rank, read):
                    yield message["kind"], message["content"]
            if stop_requested() and not passed_on:
                workers = _children(launcher)
                passed_on = len(workers) >= processes
                for worker in workers if passed_on else ():
                    with suppress(psutil.Error):
                        worker.terminate()
            time.sleep(0.1)
    finally:
        # Listed before the launcher ends, after which they are nobody's children.
        for process in (*_children(launcher), launcher):
            with suppress(psutil.Error):
                process.kill()
        launcher.wait()


def _children(launcher: subprocess.Popen) -> list[psutil.Process]:
    try:
        return psutil.Process(launcher.pid).children(recursive=True)
    except psutil.Error:
        return []


def _unread(path: Path, rank: int, read: dict[int, int]) -> list[dict[str, Any]]:
    """The messages of a process since it was last read; a line that has no end yet is left."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(read[rank])
        text = file.read()
    lines = text[: text.rfind(b"\n") + 1]
    read[rank] += len(lines)
    return [json.loads(line) for line in lines.splitlines()]


def _launch(job: Path, processes: int, on_gpu: bool) -> subprocess.Popen:
    """`accelerate launch` on one machine, whatever this user's own configuration of it says."""
    config = job.with_name("accelerate.yaml")
    config.write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\nmixed_precision: 'no'\n"
        f"num_machines: 1\nnum_processes: {processes}\ngpu_ids: all\nuse_cpu: false\n"
    )
    command = [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--config_file", str(config)),
        *("--multi_gpu", "--num_processes", str(processes), "--num_machines", "1"),
        *("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
        *("--module", "deltatune.train.worker", str(job)),
    ]
    library = str(SCRIPTS)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH")])),
        # The launcher would end the processes that are to save their state when a signal comes.
        "PET_SIGNALS_TO_HANDLE": "SIGQUIT",
    }
    if not on_gpu:
        environment["ACCELERATE_USE_CPU"] = "true"
        if sys.platform.startswith("linux"):
            # This machine's name may resolve to an address that it does not have.
            environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    return subprocess.Popen(command, env=environment, preexec_fn=_ignore_stop_signals)


def _ignore_stop_signals() -> None:
    """In the launcher, before it begins: it ignores signals that ask to stop, and ends when the
    process that started it has ended."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signals.end_with_parent(signal.SIGKILL)

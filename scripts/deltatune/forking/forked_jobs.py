"""Jobs of a run on this machine, forked from one process that has their packages loaded.

`fork_server` is that process. It loads them while the first jobs run, and nothing waits for it: as
long as it is not ready, and when it has ended for whatever reason, a job is started as Snakemake
starts it. A forked job is to Snakemake what that would be: a process of the same group, with an id,
that is measured, gets signals, and ends with a status.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deltatune.core import gpu_devices
from deltatune.forking import upstream

PREFIX = "set -euo pipefail; exec "
"""Of each command. exec: a script replaces the shell that starts it. Between snakemake and the
script, bash before 5.1 would end by a stop signal before the script has handled it, and would hide
from the script that snakemake has ended."""
FEWEST = 4
"""Jobs for which it pays: the packages take as long as those of two of the largest."""
SHOWN = 1000
"""Characters of a job's command that `ps` can show: the kernel has room for that of the server."""
_THREADS = ("OMP", "GOTO", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "NUMEXPR")
_OF_A_JOB = {*(f"{name}_NUM_THREADS" for name in _THREADS), "VECLIB_MAXIMUM_THREADS"}
_OF_A_JOB |= {"TMPDIR", "TMP", "TEMPDIR", "TEMP"}
"""Variables that Snakemake sets for each job; all others were read when packages were loaded."""


def start(workflow: Any) -> Forks | None:
    """Start the server of a run, where its jobs are processes of this machine and this interpreter.

    Not on macOS, where a process with loaded frameworks cannot be forked. Nor where there is a GPU:
    bitsandbytes asks for it as it is loaded, and CUDA does not work in what is forked afterwards.
    """
    if (
        sys.platform.startswith("linux")
        and workflow.is_main_process
        and workflow.local_exec
        and not (workflow.dryrun or workflow.touch)
        and not workflow.deployment_settings.deployment_method
        and len(workflow.dag) >= FEWEST
        and not gpu_devices.find()[1]
    ):
        forks = Forks()
        upstream.start_jobs_by(forks.start)
        return forks
    return None


class Forks:
    """The server, as snakemake's process sees it."""

    def __init__(self) -> None:
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setblocking(False)
        self._environment = _shared(os.environ)
        self._ready = False
        self._lock = threading.Lock()
        # What libraries read when they are loaded; `core.upstream` says why.
        threads = dict.fromkeys(_OF_A_JOB - {"TMPDIR", "TMP", "TEMPDIR", "TEMP"}, "1")
        waiting = {"TORCHDYNAMO_DISABLE": "1", "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
        with other:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("fork_server.py")), " " * SHOWN],
                env={**waiting, **os.environ, **threads},
                stdin=other,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def close(self) -> None:
        """End the server, and wait until it has ended."""
        if not self.is_ready():
            self._process.kill()
        self._channel.close()
        self._process.wait()

    def start(self, command: str, stdout: Any, env: Mapping[str, str]) -> Job | None:
        """The job of a command; None where it is to be started as usual."""
        script = script_of(command)
        if script is None or _shared(env) != self._environment or not self.is_ready():
            return None
        request = {"argv": [script], "cwd": os.getcwd(), "env": dict(env)}
        own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        content = os.memfd_create("job")
        try:
            with other, open(content, "w", encoding="utf-8") as file:
                json.dump(request, file)
                file.flush()
                os.lseek(content, 0, os.SEEK_SET)
                files = [content, 0, 1 if stdout is None else stdout.fileno(), 2, other.fileno()]
                with self._lock:
                    socket.send_fds(self._channel, [b"j"], files)
            head, files, _, _ = socket.recv_fds(own, 8, 1)
        except OSError:
            own.close()
            return None
        if not head:
            own.close()
            return None
        return Job(int.from_bytes(head, "big"), files[0], own)

    def is_ready(self) -> bool:
        """Whether the server has loaded everything; it may have ended since then."""
        with self._lock, suppress(OSError):
            self._ready = self._ready or bool(self._channel.recv(8))
        return self._ready


class Job:
    """A forked process, as far as Snakemake knows one. process: its descriptor."""

    stdout = None

    def __init__(self, pid: int, process: int, answer: socket.socket) -> None:
        self.pid = pid
        self._process = process
        self._answer = answer

    def wait(self) -> int:
        """Its exit status; of one that a signal ended, the signal's number, negative. That of
        SIGKILL where the server has ended before it and nobody knows."""
        with self._answer:
            status = self._answer.recv(8)
        select.select([self._process], [], [])
        os.close(self._process)
        return int.from_bytes(status, "big", signed=True) if status else -signal.SIGKILL

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        with suppress(OSError):
            signal.pidfd_send_signal(self._process, number)


def script_of(command: str) -> str | None:
    """The script of a job's command; None of what is no script of this interpreter."""
    if not command.startswith(PREFIX):
        return None
    words = shlex.split(command.removeprefix(PREFIX))
    is_script = len(words) == 2 and words[0] == sys.executable and words[1].endswith(".py")
    return words[1] if is_script else None


def _shared(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that all jobs have alike."""
    return {name: value for name, value in environment.items() if name not in _OF_A_JOB}

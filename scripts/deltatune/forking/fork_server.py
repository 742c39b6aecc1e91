"""The process that jobs are forked from, see `forked_jobs`: `python fork_server.py`.

Loading torch, transformers and peft takes four to eight seconds of CPU time, in each job anew. Here
they are loaded once. A forked job is the script that Python would have run: in a process of its
own, with the folder, variables and open files that it was given, and the same bytes as results. Of
the library no more is loaded here than this needs: a project may be edited while it runs.

Standard input is a socket to snakemake. There it says when all is loaded, and for each job it gets
a packet with five files: a JSON object {"argv", "cwd", "env"}; standard input, output and error;
and a socket for the answer: the process id with a descriptor of the process, later how it ended.
When snakemake has closed its end, or has ended in whatever way, this process ends, and the kernel
sends SIGTERM to jobs that still run.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from contextlib import suppress

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

from deltatune.forking import upstream

del sys.path[0]  # a script finds the library by itself

FOLDER = os.path.dirname(os.path.abspath(__file__))
PACKAGES = (
    *("snakemake.script", "snakemake.iocontainers", "pydantic", "jinja2"),
    *("numpy", "pandas", "pyarrow.parquet", "scipy.stats", "sklearn.linear_model"),
    *("sklearn.feature_extraction.text", "datasets", "evaluate", "matplotlib.figure", "seaborn"),
    *("torch", "transformers", "transformers.trainer", "accelerate", "peft", "bitsandbytes"),
    *("transformers.models.mistral.modeling_mistral", "threadpoolctl"),
)
THREADS = 1
"""What libraries are loaded with, which `_set_threads` changes: no thread may run at a fork."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class Server:
    """channel: the socket to snakemake."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._selector = selectors.DefaultSelector()
        self._selector.register(channel, selectors.EVENT_READ, self._receive)
        self._jobs: dict[int, tuple[int, socket.socket]] = {}
        self._handlers = [(number, signal.getsignal(number)) for number in SIGNALS]
        # Ctrl-C is for the jobs, which are in the same process group.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def serve(self) -> None:
        """Fork until there is nobody to fork for."""
        while all(key.data(key.fileobj) for key, _ in self._selector.select()):
            pass

    def _receive(self, channel: socket.socket) -> bool:
        head, files, _, _ = socket.recv_fds(channel, 1, 5)
        if head:
            self._begin(files)
        return bool(head)

    def _begin(self, files: list[int]) -> None:
        content, *standard, answer = files
        reply = socket.socket(fileno=answer)
        server, pid = os.getpid(), os.fork()
        if pid == 0:
            reply.close()
            self._leave()
            become(content, standard, server, self._handlers)
        for file in files[:-1]:
            os.close(file)
        process = os.pidfd_open(pid)
        self._jobs[process] = pid, reply
        self._selector.register(process, selectors.EVENT_READ, self._end)
        with suppress(OSError):
            socket.send_fds(reply, [pid.to_bytes(8, "big")], [process])

    def _end(self, process: int) -> bool:
        pid, reply = self._jobs.pop(process)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self._selector.unregister(process)
        os.close(process)
        with suppress(OSError), reply:
            reply.send(status.to_bytes(8, "big", signed=True))
        return True

    def _leave(self) -> None:
        """Close all that is the server's, in a forked process: snakemake sees at the end of a
        socket that the server has ended."""
        self._selector.close()
        self._channel.close()
        for process, (_, reply) in self._jobs.items():
            os.close(process)
            reply.close()


def become(content: int, standard: list[int], server: int, handlers: list[tuple]) -> None:
    """Be the process of a script from its beginning to its end."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != server:
            os._exit(1)
        for number, handler in handlers:
            signal.signal(number, handler)
        with open(content, encoding="utf-8") as file:
            job = json.load(file)
        _prepare(job, standard)
        upstream.run_script(job["argv"], FOLDER)
        status = 0
    except SystemExit as end:
        status = upstream.status_of(end)
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
    finally:
        upstream.end_process(status)


def _prepare(job: dict, standard: list[int]) -> None:
    """What the interpreter and libraries would have read from this job's surroundings."""
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    for target, file in enumerate(standard):
        os.dup2(file, target)
        os.close(file)
    upstream.open_standard_streams()
    # Those of the standard library are seeded anew by itself.
    sys.modules["numpy"].random.seed()
    sys.modules["torch"].default_generator.seed()
    _set_threads(int(os.environ.get("OMP_NUM_THREADS", THREADS)))
    upstream.show_as([sys.executable, *job["argv"]])
    gc.enable()


def _set_threads(number: int) -> None:
    """What OpenMP and OpenBLAS read when they are loaded; torch and MKL read it later."""
    if number != THREADS:
        sys.modules["threadpoolctl"].threadpool_limits(number)


def load(packages: tuple[str, ...] = PACKAGES) -> None:
    """Load them; what cannot be loaded ends this process, and jobs start by themselves."""
    for package in packages:
        importlib.import_module(package)
    gc.collect()
    gc.freeze()


def main() -> None:
    # With snakemake, while nothing looks at the socket.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    channel = socket.socket(fileno=os.dup(0))
    server = Server(channel)
    load()
    channel.send(b"ready")
    server.serve()


if __name__ == "__main__":
    main()

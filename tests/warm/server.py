"""Python processes that have loaded the heavy packages already: `server.py ADDRESS`.

Loading torch, transformers and peft takes five seconds in each job of a run, ten times as long as
a tiny model's work. Here they are loaded once, and each process that `sitecustomize.py` hands over
is forked from this one: the same snakemake, the same script in a process of its own, with the same
bytes as results (test_warm.py). The library itself is not loaded here, since projects edit theirs.

It ends when its standard input does, with the test process that holds the other end.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import traceback
from contextlib import suppress

PACKAGES = (
    *("snakemake.cli", "snakemake.persistence", "snakemake.script", "snakemake.iocontainers"),
    *("snakemake.report.html_reporter", "snakemake.storage", "smart_open", "pydantic", "jinja2"),
    *("numpy", "pandas", "pyarrow.parquet", "scipy.stats", "sklearn.linear_model", "datasets"),
    *("sklearn.feature_extraction.text", "evaluate", "matplotlib.figure", "seaborn"),
    *("torch", "transformers", "transformers.trainer", "accelerate", "peft", "bitsandbytes"),
    "transformers.models.mistral.modeling_mistral",
)


def run(asked: dict, files: list[int]) -> None:
    """In the forked process: become the process that was handed over."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == 2 else signal.SIG_DFL)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    stdin, stdout, stderr = (os.fdopen(n, "r" if n == 0 else "w", closefd=False) for n in range(3))
    stderr.reconfigure(line_buffering=True, errors="backslashreplace")
    sys.stdin, sys.stdout, sys.stderr = stdin, stdout, stderr
    # What OpenMP would have read when it was loaded.
    sys.modules["torch"].set_num_threads(
        int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    )
    gc.enable()
    script, *rest = asked["argv"]
    if script == "-m":
        sys.path.insert(0, asked["cwd"])
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, os.path.dirname(script))
        sys.argv = asked["argv"]
        # As the interpreter runs a file: __main__ is a module of its own, which others find.
        main = type(sys)("__main__")
        main.__file__, main.__builtins__ = script, __builtins__
        sys.modules["__main__"] = main
        with open(script, encoding="utf-8") as file:
            exec(compile(file.read(), script, "exec"), vars(main))


def become(asked: dict, files: list[int]) -> None:
    """`run`, and the end of the process as the interpreter ends one."""
    status = 1
    try:
        run(asked, files)
        status = 0
    except SystemExit as end:
        if isinstance(end.code, int) or end.code is None:
            status = end.code or 0
        else:
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            import atexit
            import threading

            threading._shutdown()
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status & 0xFF)


def received(connection: socket.socket) -> tuple[dict, list[int]]:
    head, files, _, _ = socket.recv_fds(connection, 8, 3)
    size, content = int.from_bytes(head, "big"), b""
    while len(content) < size:
        content += connection.recv(size - len(content))
    return json.loads(content), files


def serve(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(f"{address}.new")
        listener.listen(64)
        os.rename(f"{address}.new", address)
        selector.register(listener, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        children: dict[int, tuple[int, socket.socket]] = {}
        while True:
            for key, _ in selector.select():
                if key.fileobj == 0:
                    return
                if key.fileobj is listener:
                    begin(listener, selector, children)
                elif isinstance(key.fileobj, int):
                    end(key.fileobj, selector, children)
                else:
                    # Who asked is gone.
                    selector.unregister(key.fileobj)
                    os.kill(key.data, signal.SIGTERM)


def begin(listener: socket.socket, selector: selectors.BaseSelector, children: dict) -> None:
    connection, _ = listener.accept()
    asked, files = received(connection)
    pid = os.fork()
    if pid == 0:
        # The selector's own file is shared with the server, and is left alone.
        listener.close()
        connection.close()
        become(asked, files)
    for file in files:
        os.close(file)
    ended = os.pidfd_open(pid)
    children[ended] = pid, connection
    selector.register(ended, selectors.EVENT_READ)
    selector.register(connection, selectors.EVENT_READ, pid)


def end(ended: int, selector: selectors.BaseSelector, children: dict) -> None:
    pid, connection = children.pop(ended)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    selector.unregister(ended)
    os.close(ended)
    with suppress(KeyError):
        selector.unregister(connection)
    with suppress(OSError), connection:
        connection.sendall(status.to_bytes(8, "big", signed=True))


if __name__ == "__main__":
    os.environ |= {"TORCHDYNAMO_DISABLE": "1", "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for package in PACKAGES:
        importlib.import_module(package)
    gc.collect()
    gc.freeze()
    sys.stdout.flush()
    serve(sys.argv[1])

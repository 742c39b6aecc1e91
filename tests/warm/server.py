"""The product's fork_server for all processes of a test run: `server.py ADDRESS LOADED`.

It has loaded the packages of LOADED, and forks for all that connect to the address, see
`sitecustomize.py`. It ends when its standard input does, with the test process that holds the other
end.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[2] / "scripts"))

from deltatune.forking import fork_server

PACKAGES = {
    # For snakemake, and for the fork_servers of those. Each project has a library of its own.
    "running": (
        *("snakemake.cli", "snakemake.persistence", "snakemake.report.html_reporter"),
        *("snakemake.storage", "smart_open", *fork_server.PACKAGES),
    ),
    # For fetch.py: what reads no variable of the hub, and what transformers loads besides.
    "fetching": (
        *(
            "pydantic",
            "yaml",
            "pandas",
            "pyarrow.parquet",
            "httpx2",
            "jinja2",
            "regex",
            "PIL.Image",
        ),
        *("numpy", "torch", "threadpoolctl"),
    ),
}


class SharedServer(fork_server.Server):
    """channel: a socket that listens. Who asks connects, and keeps its end while it lives."""

    def _receive(self, channel: socket.socket) -> bool:
        connection, _ = channel.accept()
        with connection:
            return super()._receive(connection)

    def _begin(self, files: list[int]) -> None:
        super()._begin(files)
        process, (_, reply) = list(self._jobs.items())[-1]

        def stop(reply: socket.socket) -> bool:
            self._selector.unregister(reply)
            signal.pidfd_send_signal(process, signal.SIGTERM)
            return True

        self._selector.register(reply, selectors.EVENT_READ, stop)

    def _end(self, process: int) -> bool:
        with suppress(KeyError):
            self._selector.unregister(self._jobs[process][1])
        return super()._end(process)

    def watch(self, stdin: int) -> None:
        self._selector.register(stdin, selectors.EVENT_READ, lambda _: False)


if __name__ == "__main__":
    os.environ |= {"TORCHDYNAMO_DISABLE": "1", "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if (loaded := sys.argv[2]) == "running":
        del sys.path[1]
        for name in [name for name in sys.modules if name.partition(".")[0] == "deltatune"]:
            del sys.modules[name]
    fork_server.load(PACKAGES[loaded])
    fork_server.FOLDER = os.path.dirname(os.path.abspath(__file__))
    address = sys.argv[1]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{address}.new")
        listener.listen(64)
        server = SharedServer(listener)
        server.watch(0)
        os.rename(f"{address}.new", address)
        server.serve()

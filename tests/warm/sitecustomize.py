"""Python runs this at the start of each process whose PYTHONPATH names this folder: what
`server.py` can do goes to it, with the folder, variables, arguments and open files of this process,
which ends as that one does."""

import os
import sys


def handed_over(arguments: list[str]) -> bool:
    """snakemake, and the scripts of a run. Those that fetch read the variables of the hub when its
    library is loaded, so each has to load it."""
    if arguments[1:3] == ["-m", "snakemake"]:
        return True
    script = arguments[-1]
    return "/.snakemake/scripts/" in script and ".fetch_" not in script


def hand_over(address: str) -> None:
    import json
    import signal
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        asked = {"cwd": os.getcwd(), "env": dict(os.environ), "argv": sys.orig_argv[1:]}
        content = json.dumps(asked).encode()
        socket.send_fds(server, [len(content).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(content)
        status = int.from_bytes(server.recv(8), "big", signed=True)
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if "WARM" in os.environ and handed_over(sys.orig_argv):
    hand_over(os.environ["WARM"])

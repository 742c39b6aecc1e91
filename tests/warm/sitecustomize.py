"""Python runs this at the start of each process whose PYTHONPATH names this folder: what
`server.py` can do goes to it, with the folder, variables, arguments and open files of this process,
which ends as that one does."""

import os
import sys


def handed_over(arguments: list[str]) -> list[str] | None:
    """The script and its arguments of what runs elsewhere: snakemake, fetch.py, and the product's
    fork_server. One with variables of the hub loads the packages itself, since they are read
    then."""
    if arguments[1:3] == ["-m", "snakemake"]:
        return [os.path.join(os.path.dirname(__file__), "run_module.py"), *arguments[2:]]
    if arguments[1] == os.path.join(os.path.dirname(__file__), "fetch.py"):
        return arguments[1:]
    hub = {name for name in os.environ if name.startswith(("HF_", "HUGGINGFACE_"))}
    if arguments[1].endswith("/deltatune/forking/fork_server.py") and hub == {"HF_HUB_OFFLINE"}:
        return arguments[1:]
    return None


def hand_over(argv: list[str], address: str) -> None:
    import json
    import signal
    import socket

    request = {"argv": argv, "cwd": os.getcwd(), "env": dict(os.environ)}
    content = os.memfd_create("request")
    os.write(content, json.dumps(request).encode())
    os.lseek(content, 0, os.SEEK_SET)
    answer, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(address)
        socket.send_fds(server, [b"j"], [content, 0, 1, 2, other.fileno()])
    other.close()
    answer.recv(8)  # which process it is
    status = int.from_bytes(answer.recv(8), "big", signed=True)
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if "WARM" in os.environ and len(sys.orig_argv) > 1 and (argv := handed_over(sys.orig_argv)):
    hand_over(argv, os.environ["WARM"])

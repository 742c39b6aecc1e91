"""Python runs this at the start of each process whose PYTHONPATH names this folder. Of the scripts
of a run it writes down, at their end, which packages they have loaded. None of them is forked: the
process that they would be forked from ends."""

import atexit
import os
import sys
from pathlib import Path


def write() -> None:
    _, rule, _ = (script := Path(sys.argv[0]).name).split(".")  # .snakemake/scripts/tmpabc.RULE.py
    names = {name.partition(".")[0] for name, module in sys.modules.items() if module}
    Path(os.environ["LOADED"], f"{rule}.{script}").write_text("\n".join(sorted(names)))


if any(argument.endswith("/fork_server.py") for argument in sys.orig_argv):
    os._exit(1)
if "/.snakemake/scripts/" in sys.orig_argv[-1]:
    atexit.register(write)

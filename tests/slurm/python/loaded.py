"""Each script writes down at its end, in the folder LOADED, which packages it has loaded."""

import atexit
import os
import sys
from pathlib import Path


def _write() -> None:
    _, rule, _ = (script := Path(sys.argv[0]).name).split(".")  # .snakemake/scripts/tmpabc.RULE.py
    names = {name.partition(".")[0] for name, module in sys.modules.items() if module}
    Path(os.environ["LOADED"], f"{rule}.{script}").write_text("\n".join(sorted(names)))


if "LOADED" in os.environ and "/.snakemake/scripts/" in sys.orig_argv[-1]:
    atexit.register(_write)

"""At its end, each Python in an environment writes down which one it was and what it had loaded."""

import atexit
import json
import os
import sys


def write():
    # Not for what a job starts in turn, nor for snakemake's question for the version of Python.
    if os.path.basename(os.path.dirname(sys.argv[0])) != "scripts":
        return
    files = {
        name: module.__file__
        for name, module in list(sys.modules.items())
        if "." not in name and getattr(module, "__file__", None)
    }
    record = {
        "script": os.path.basename(sys.argv[0]),
        "prefix": sys.prefix,
        "standard": [sys.base_prefix, sys.base_exec_prefix],
        "version": sys.version.split()[0],
        "files": files,
    }
    # The copy that Snakemake runs has a name of its own; a process id comes again.
    path = os.path.join(os.environ["STANDIN_WATCH"], f"{record['script']}.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(record, file)


atexit.register(write)

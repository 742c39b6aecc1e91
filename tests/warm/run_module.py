"""`python -m MODULE ARGUMENTS` as a script, which `server.py` can run."""

import os
import runpy
import sys

del sys.argv[0]
sys.path[0] = os.getcwd()
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)

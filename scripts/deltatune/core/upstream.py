"""Workarounds for what scripts meet whatever their work is, each with the version that it was seen
in. A test in tests/unit/test_core_upstream.py fails when one can go."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def leave_snakemakes_environment() -> None:
    """Take the folders of snakemake's packages off the path, unless they are this environment's.

    Snakemake puts them at the end of a script's path, for the objects that it hands over
    (snakemake/snakemake#840, seen in 9.27). Under `--use-conda` they are another environment's:
    what a library finds there and uses if it can (rich, psutil, sklearn) would make a result depend
    on what happens to be installed beside snakemake. What has been imported from there stays. A
    folder that PYTHONPATH names stays too.
    """
    snakemake = getattr(sys.modules.get("snakemake"), "__file__", None)
    if snakemake is None:
        return
    own = [*site.getsitepackages(), site.getusersitepackages()]
    own += filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    kept = {Path(path).resolve() for path in own}
    left = Path(snakemake).resolve().parents[1]

    def stays(path: Path) -> bool:
        return path in kept or (path != left and path.name != "site-packages")

    sys.path[:] = [path for path in sys.path if stays(Path(path).resolve())]


def leave_out_torch_compiler() -> None:
    """Say that nothing will be compiled, before torch is loaded.

    bitsandbytes 0.50.2 marks functions for torch's compiler and loads all of it for that at import,
    a second in each job (benchmarks/README.md). With this set `torch.compile` does nothing, and
    says nothing: not for jobs that compile.
    """
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")


def keep_threads_from_spinning() -> None:
    """Let threads that wait for each other give up their core, before OpenMP is loaded.

    libgomp, which the wheels of torch 2.13 and scikit-learn bring, lets them spin: on two cores
    that other work used too, pre-training took nine times the CPU time (benchmarks/README.md).
    Intel's and LLVM's OpenMP spin for 200 ms where they are used instead. The sums are the same.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("KMP_BLOCKTIME", "0")


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Within it, packages and modules that are not loaded yet look as if they were not installed.

    For the import of a library that loads what it can do without wherever it finds it.
    """
    left_out = set(names) - set(sys.modules)
    sys.modules.update(dict.fromkeys(left_out))
    try:
        yield
    finally:
        for name in left_out:
            del sys.modules[name]


@contextmanager
def without_main_script() -> Iterator[None]:
    """Within it, processes that multiprocessing spawns do not run the main script again.

    Python 3.11 to 3.14 import the file of `__main__` in each of them, for what the script defines.
    Snakemake's script would do its work there, and what the processes need is in the library.
    """
    main = vars(sys.modules["__main__"])
    missing = object()
    path = main.pop("__file__", missing)
    try:
        yield
    finally:
        if path is not missing:
            main["__file__"] = path

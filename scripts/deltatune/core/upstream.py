"""A workaround for Snakemake: a script sees the packages of its own environment, and of no other.

Snakemake puts the folders that its own packages lie in at the end of a script's path, for the
objects that it hands over (snakemake/snakemake#840, seen in 9.27). Under `--use-conda` they are
another environment's: what a library finds there and uses if it can (rich, psutil, sklearn) would
make a result depend on what happens to be installed beside snakemake.
"""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path


def leave_snakemakes_environment() -> None:
    """Take the folders of snakemake's packages off the path, unless they are this environment's.

    What has been imported from there stays. A folder that PYTHONPATH names stays too.
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

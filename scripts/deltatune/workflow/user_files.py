"""What the pipeline reads and does not make, known by its content.

Snakemake goes by the modification time of an input: a data file that an older one replaces (`mv`,
`cp -p`, a restored backup) would not be noticed, and a large one that was only touched would be
read again. So the rules take such files as `ancient`, and have their fingerprints among their
params.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from deltatune.core import hashing
from deltatune.data.formats import source_files

#: Bytes up to which a file is read at each call of snakemake: about 0.2 seconds.
READ = 64 * 2**20


@cache
def listed(*paths: str) -> list[str]:
    """The files of a source, see `formats.source_files`: in one call of snakemake always the same,
    and those that are there at the time."""
    return source_files(paths)


@cache
def fingerprint(path: str | Path) -> str:
    """sha256 of a file; of one larger than READ its size in bytes and date in nanoseconds.

    A file that is not there is "missing"; Snakemake has a message of its own for it.
    """
    path = Path(path)
    if not path.is_file():
        return "missing"
    about = path.stat()
    if about.st_size > READ:
        return f"{about.st_size} bytes of {about.st_mtime_ns}"
    return hashing.file_hash(path)

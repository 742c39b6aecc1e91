"""The formats that records come in, by the suffix of their file, and the files of a source."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xlsx": "xlsx",
}
TEXT_SUFFIXES = (".txt", ".text")
"""A plain text, which has to be chunked."""
PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
"""Of a compressed file, behind that of its format."""
ARCHIVE = ".zip"
"""Of an archive of files of records."""


def suffix(name: str) -> str:
    """The suffix that says the format: .csv of data.csv.gz."""
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in PACKED_SUFFIXES else path.suffix


def is_text(names: Sequence[str]) -> bool:
    """Whether files are plain text by their names."""
    return bool(names) and all(suffix(name) in TEXT_SUFFIXES for name in names)


def source_files(paths: str | Sequence[str], folder: Path = Path()) -> list[str]:
    """The files of a source, each once.

    paths: files, folders and patterns (`data/*.csv`, `**` for any folders), relative to `folder`.
    A file stands where it is named; those of a folder or a pattern are sorted, numbers in their
    names as numbers. Of a folder, and of those in it, the files of records are taken, and if there
    are none those of text, but nothing that begins with a dot. What is not there stays as it is.
    """
    taken: list[str] = []
    for path in [paths] if isinstance(paths, str) else paths:
        place = folder / path
        if is_folder(place):
            taken += _of_folder(path, place) or [path]
        elif not _is(os.path.isfile, place) and glob.has_magic(path):
            taken += _matches(path, folder) or [path]
        else:
            taken.append(path)
    return list(dict.fromkeys(taken))


def is_folder(place: Path) -> bool:
    return _is(os.path.isdir, place)


def _matches(pattern: str, folder: Path) -> list[str]:
    try:
        names = glob.glob(pattern, root_dir=folder, recursive=True)
    except (OSError, ValueError):
        return []
    return sorted((n for n in names if _is(os.path.isfile, folder / n)), key=_in_order)


def _is(check: Callable[[Path], bool], place: Path) -> bool:
    try:
        return check(place)
    except (OSError, ValueError):  # too long a name, a NUL byte
        return False


def _of_folder(path: str, place: Path) -> list[str]:
    files = [file.relative_to(place) for file in place.rglob("*") if file.is_file()]
    shown = [file for file in files if not any(part.startswith(".") for part in file.parts)]
    known = [file for file in shown if suffix(file.name) in (*SUFFIXES, ARCHIVE)]
    known = known or [file for file in shown if suffix(file.name) in TEXT_SUFFIXES]
    return [f"{path.rstrip('/')}/{file}" for file in sorted(map(str, known), key=_in_order)]


def _in_order(name: str) -> list[tuple[str, int]]:
    """part-2 before part-10."""
    return [(text, int(n or 0)) for text, n in re.findall(r"(\D*)(\d{0,18})", name)]


def below_shared_folder(paths: Sequence[str]) -> list[str]:
    """A short name for each of several files: its path below the folder that all are in."""
    parts = [PurePosixPath(path).parts for path in paths]
    folders = [names[:-1] for names in parts]
    shared = 0
    while folders and all(len(f) > shared and f[shared] == folders[0][shared] for f in folders):
        shared += 1
    return [str(PurePosixPath(*names[shared:])) for names in parts]

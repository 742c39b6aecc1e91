"""The formats that records come in, by the suffix of their file, and the files of a source."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from deltatune.core.text import excerpt

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".xlsx": "xlsx",
}
TEXT_SUFFIXES = (".txt", ".text")
"""A plain text, which has to be chunked."""
PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
"""Of a compressed file, behind that of its format."""
NAMED = 5
"""Files that are not read, which are named."""
_ABOUT_ARROW = re.compile(r"(dataset_info|dataset_dict|state)\.json|cache-.*\.arrow")
"""What datasets writes beside its Arrow files that is no record of them."""
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


def left_out(paths: str | Sequence[str], folder: Path = Path()) -> list[str]:
    """What `source_files` does not take of folders, a sentence for each of them."""
    notes = []
    for path in [paths] if isinstance(paths, str) else paths:
        shown = _shown(folder / path) if is_folder(folder / path) else []
        if others := unread(shown, readable(shown, (ARCHIVE,))):
            notes.append(f"of the folder {path} {others}")
    return notes


def readable(names: Sequence[str], more: Sequence[str] = ()) -> list[str]:
    """Of files beside each other those of records, and if there are none those of text. more:
    other suffixes of files of records."""
    known = [name for name in names if suffix(name) in (*SUFFIXES, *more)]
    if any(suffix(name) == ".arrow" for name in known):
        known = [name for name in known if not _ABOUT_ARROW.fullmatch(PurePosixPath(name).name)]
    return known or [name for name in names if suffix(name) in TEXT_SUFFIXES]


def unread(names: Sequence[str], taken: Sequence[str]) -> str:
    """The files that are not taken, in words; "" where all are, or none."""
    others = [name for name in names if name not in {*taken}]
    if not taken or not others:
        return ""
    listed = ", ".join(excerpt(name, 40) for name in others[:NAMED])
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    return f"{listed}{more} {'is' if len(others) == 1 else 'are'} not read"


def _shown(place: Path) -> list[str]:
    """The files of a folder and of those in it, but nothing that begins with a dot."""
    files = [file.relative_to(place) for file in place.rglob("*") if file.is_file()]
    shown = [file for file in files if not any(part.startswith(".") for part in file.parts)]
    return sorted(map(str, shown), key=_in_order)


def _of_folder(path: str, place: Path) -> list[str]:
    return [f"{path.rstrip('/')}/{file}" for file in readable(_shown(place), (ARCHIVE,))]


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

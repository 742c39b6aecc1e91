"""SHA-256 of files and settings, and lists of files in the format of sha256sum."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def file_hash(path: str | Path) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(parts: Any) -> str:
    """Of what decides a result, given as JSON can hold it."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_hashes(folder: str | Path, path: str | Path, without: str = ".*") -> dict[str, str]:
    """Write `hash  folder/file` lines for the files of a folder, as `sha256sum -c` reads them.

    without: pattern of names that are left out; hidden files always are. The names in the file
    are relative to the folder that `path` stands in. Returns name -> hash.
    """
    folder, path = Path(folder), Path(path)
    files = sorted(
        f
        for f in folder.rglob("*")
        if f.is_file() and not f.name.startswith(".") and not f.match(without)
    )
    hashes = {f"{folder.name}/{f.relative_to(folder).as_posix()}": file_hash(f) for f in files}
    lines = [f"{value}  {name}\n" for name, value in hashes.items()]
    path.write_text("".join(lines), encoding="utf-8")
    return hashes


def read_hashes(path: str | Path) -> dict[str, str]:
    """Name -> hash, from a file that `write_hashes` wrote."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return {name: value for value, name in (line.split("  ", 1) for line in lines)}

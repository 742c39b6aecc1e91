"""A stage's record of what it made: hashes, counts, settings, versions, seconds, memory.

Two kinds of file leave a stage beside its results. `manifest.json` is for people and for the
report; its seconds differ from run to run, so no computing stage depends on it. `*.sha256` lists
the hashes of what was made, in the format of sha256sum; later stages depend on that.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import resource
import sys
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_START = time.monotonic()


def write(
    path: str | Path, packages: Iterable[str] = (), earlier: dict | None = None, **content: Any
) -> None:
    """Write manifest.json with the content and what has been used until now, see `used`.

    packages: distributions whose versions belong to the record.
    """
    record = {
        **content,
        **used(earlier),
        "versions": {"python": platform.python_version(), **versions(packages)},
        "machine": f"{platform.system()} {platform.machine()}",
    }
    text = json.dumps(_plain(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    Path(path).write_text(text, encoding="utf-8")


def used(earlier: dict | None = None) -> dict[str, float]:
    """seconds: wall time since the library was loaded; peak_memory_gb: resident memory of this
    process, GPU memory apart; peak_gpu_memory_gb, where there is a GPU.

    earlier: the same of processes that did a part of this work before: seconds are added, of peaks
    the highest counts.
    """
    now = {"seconds": time.monotonic() - _START, "peak_memory_gb": _peak_memory() / 1e9}
    if gpu := _peak_gpu_memory():
        now["peak_gpu_memory_gb"] = gpu / 1e9
    now = together(now, earlier or {})
    return {name: round(value, 2 if name == "seconds" else 3) for name, value in now.items()}


def together(now: dict[str, float], earlier: dict[str, float]) -> dict[str, float]:
    """What two processes used one after the other, see `used`."""
    both = dict(now)
    for name, value in earlier.items():
        here = now.get(name, 0.0)
        both[name] = here + value if name == "seconds" else max(here, value)
    return both


def _plain(value: Any) -> Any:
    """The same with null for what is no finite number: JSON has no word for it."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read(path: str | Path) -> dict[str, Any]:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Installed versions; a package that is not there is left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def file_hash(path: str | Path) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_hashes(
    folder: str | Path, path: str | Path, pattern: str = "*", without: str = ".*"
) -> dict[str, str]:
    """Write `hash  folder/file` lines for the files of a folder, as `sha256sum -c` reads them.

    pattern: of names that are taken; without: of names that are not. Hidden files never are. The
    names in the file are relative to the folder that `path` stands in. Returns name -> hash.
    """
    folder, path = Path(folder), Path(path)
    files = sorted(
        f
        for f in folder.rglob(pattern)
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


def _peak_memory() -> int:
    """Bytes of resident memory at their highest; ru_maxrss counts KiB on Linux, bytes on macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _peak_gpu_memory() -> int:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return 0
    return torch.cuda.max_memory_allocated()

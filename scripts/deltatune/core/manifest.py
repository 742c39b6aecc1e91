"""A stage's record of what it made: hashes, counts, settings, versions, seconds, memory.

Two kinds of file leave a stage beside its results. `manifest.json` is for people and for the
report; its seconds differ from run to run, so no computing stage depends on it. `*.sha256` lists
the hashes of what was made, in the format of sha256sum; later stages depend on that.
"""

from __future__ import annotations

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

from deltatune.core import provenance

_START = time.monotonic()


def write(
    path: str | Path, packages: Iterable[str] = (), earlier: dict | None = None, **content: Any
) -> None:
    """Write manifest.json with the content, what has been used until now, see `used`, and where the
    job ran, see `provenance.record`.

    packages: distributions whose versions belong to the record.
    """
    record = {
        **content,
        **used(earlier),
        "versions": {"python": platform.python_version(), **versions(packages)},
        "machine": f"{platform.system()} {platform.machine()}",
        **provenance.record(),
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
    now = combined(now, earlier or {})
    return {name: round(value, 2 if name == "seconds" else 3) for name, value in now.items()}


def combined(now: dict[str, float], earlier: dict[str, float]) -> dict[str, float]:
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
    installed = {}
    for package in packages:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def _peak_memory() -> int:
    """Bytes of resident memory at their highest; ru_maxrss counts KiB on Linux, bytes on macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _peak_gpu_memory() -> int:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return 0
    return torch.cuda.max_memory_allocated()

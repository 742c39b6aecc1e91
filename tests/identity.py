"""What of a run must come out the same, however often it was stopped and wherever it ran."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

TIMES = {"seconds", "training_seconds", "tokens_per_second", "peak_memory_gb"}
UNEQUAL = ("logs/", "benchmarks/", "checksums/", "report.html")
"""Results that tell of times, or of files that do."""


def identity(project: Path, *without: str) -> dict[str, str]:
    """Name under results/ -> hash of its content, of a manifest without times and memory.

    without: beginnings of names to leave out besides.
    """
    results = project / "results"
    found = {}
    for path in sorted(p for p in results.rglob("*") if p.is_file()):
        name = path.relative_to(results).as_posix()
        if name.startswith((*UNEQUAL, *without)) or path.name == ".snakemake_timestamp":
            continue
        content = path.read_bytes()
        if path.suffix == ".json":
            content = json.dumps(_timeless(json.loads(content)), sort_keys=True).encode()
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def differences(wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    """A line for every result that is not the same, of two identities."""
    return [
        *(f"{name} is missing" for name in sorted(wanted.keys() - found.keys())),
        *(f"{name} is left over" for name in sorted(found.keys() - wanted.keys())),
        *(f"{name} differs" for name in wanted if found.get(name, wanted[name]) != wanted[name]),
    ]


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in TIMES}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value

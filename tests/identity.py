"""What of a run must come out the same, however often it was stopped and wherever it ran."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

TIMES = {"seconds", "training_seconds", "tokens_per_second", "peak_memory_gb", "job"}
"""Keys of manifests with times, memory and the place that a job ran at."""
UNEQUAL = ("logs/", "benchmarks/", "checksums/", "cache/", "report.html")
"""Results that state times, or hashes of files that do, and copies of results."""

COST = re.compile(rb"^Computing: .*$", re.MULTILINE)
"""The line of the verdict that states times."""


def identity(project: Path, *without: str) -> dict[str, str]:
    """Name under results/ -> hash of its content, of a manifest without times and memory.

    without: beginnings of names to leave out besides.
    """
    results = project / "results"
    hashes = {}
    for path in sorted(p for p in results.rglob("*") if p.is_file()):
        name = path.relative_to(results).as_posix()
        if name.startswith((*UNEQUAL, *without)) or path.name == ".snakemake_timestamp":
            continue
        content = path.read_bytes()
        if path.suffix == ".json":
            content = json.dumps(_without_times(json.loads(content)), sort_keys=True).encode()
        if path.name == "verdict.txt":
            content = COST.sub(b"", content)
        hashes[name] = hashlib.sha256(content).hexdigest()
    return hashes


def differences(expected: dict[str, str], actual: dict[str, str]) -> list[str]:
    """A line for every result that is not the same, of two identities."""
    return [
        *(f"{name} is missing" for name in sorted(expected.keys() - actual.keys())),
        *(f"{name} is left over" for name in sorted(actual.keys() - expected.keys())),
        *(f"{name} differs" for name, one in expected.items() if actual.get(name, one) != one),
    ]


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(inner) for key, inner in value.items() if key not in TIMES}
    return [_without_times(inner) for inner in value] if isinstance(value, list) else value

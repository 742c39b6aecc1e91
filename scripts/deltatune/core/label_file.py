"""The classes of a task, in the one place that every later stage reads them from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

NAME = "labels.json"
"""Of the file, in the folder of a task beside its splits."""


def write(path: str | Path, names: Sequence[str]) -> None:
    """names: of the classes, in their order; none for a task without classes."""
    text = json.dumps(list(names), ensure_ascii=False, indent=1)
    Path(path).write_text(f"{text}\n", encoding="utf-8")


def read(path: str | Path | Sequence[str]) -> list[str]:
    """The names of the classes in their order. path: empty for a task without classes, of which no
    stage has the file as an input."""
    return json.loads(Path(path).read_text(encoding="utf-8")) if path else []

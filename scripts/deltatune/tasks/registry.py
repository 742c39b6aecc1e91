"""The kinds of task, found by the name of their module.

Adding a kind is adding a module: `tasks.base` says what it holds.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType

_NOT_KINDS = {"base", "registry"}


def available_kinds() -> list[str]:
    """Names of all kinds, from the files that are there."""
    names = {module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])}
    return sorted(names - _NOT_KINDS)


@cache
def load_kind(kind: str) -> ModuleType:
    return importlib.import_module(f"deltatune.tasks.{kind}")

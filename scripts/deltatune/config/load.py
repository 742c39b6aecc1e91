"""config.yaml, read and checked as a whole.

`load_settings(config)` validates the mapping that Snakemake read, fills the defaults and returns a
`Settings`. Whatever is wrong comes back as one `UserError` that lists each wrong key with its
path and, where one is near, the key or name that was probably meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deltatune.config.checks import files, references
from deltatune.config.messages import describe
from deltatune.config.model import Settings
from deltatune.core.errors import UserError
from deltatune.core.text import did_you_mean
from deltatune.tasks.base import TaskSettings
from deltatune.tasks.registry import available_kinds, load_kind

_BROKEN = re.compile(r"[\0\ud800-\udfff]")
MOST = 40
"""Faults that are told at once."""
LONGEST = 2000
"""Characters of a line that tells one; what it quotes may be of any length."""


def load_settings(config: Mapping[str, Any], folder: Path = Path(".")) -> Settings:
    """Validate the mapping from config.yaml.

    folder: where relative paths start, and data/sample lies.
    Raises UserError with one line for each thing that is wrong.
    """
    if broken := list(_broken_texts(config)):
        raise _refusal(broken)
    problems: list[str] = []
    typed: dict[str, Any] = {}
    raw_tasks = config.get("tasks")
    for name, raw in (raw_tasks if isinstance(raw_tasks, Mapping) else {}).items():
        try:
            typed[str(name)] = _task(raw)
        except ValidationError as error:
            model = load_kind(raw["kind"]).Settings
            problems += [describe(e, ("tasks", str(name)), model) for e in error.errors()]
        except ValueError as error:
            problems.append(f"tasks.{name}{error}")
    try:
        settings = Settings.model_validate({**config, **({"tasks": typed} if typed else {})})
    except ValidationError as error:
        problems = [describe(e, (), Settings) for e in error.errors()] + problems
        settings = None
    if settings and not problems:
        # Files are looked for only once every name points somewhere.
        problems = list(references(settings)) or list(files(settings, folder))
    if problems:
        raise _refusal(problems)
    return settings


def _task(value: Any) -> Any:
    """Choose the settings class of a task by its kind."""
    if isinstance(value, TaskSettings):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(": expected a mapping with `kind` and `dataset`")
    kind = value.get("kind")
    if kind not in available_kinds():
        raise ValueError(
            f".kind: {kind!r} is no kind of task{did_you_mean(kind, available_kinds())}; "
            f"there are {', '.join(available_kinds())}"
        )
    return load_kind(kind).Settings.model_validate(dict(value))


def _broken_texts(value: Any, place: str = "") -> Iterable[str]:
    """A line for each text that cannot be written to a file: pydantic stops at them or lets them
    pass, depending on where they stand."""
    inside: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        inside = value.items()
    elif isinstance(value, list | tuple):
        inside = enumerate(value)
    elif isinstance(value, str) and _BROKEN.search(value):
        yield f"{place}: the text holds a NUL byte or half a surrogate pair"
    for key, part in inside:
        if isinstance(key, str) and _BROKEN.search(key):
            yield f"{place or 'config.yaml'}: a key holds a NUL byte or half a surrogate pair"
        else:
            yield from _broken_texts(part, f"{place}.{key}".removeprefix("."))


def _refusal(problems: list[str]) -> UserError:
    """A line for each fault, up to MOST."""
    told = list(dict.fromkeys(problems))
    lines = [f"  - {_clipped(problem)}" for problem in told[:MOST]]
    if len(told) > MOST:
        lines.append(f"  - and {len(told) - MOST} more")
    return UserError("\n".join(["config.yaml cannot be used as it is:", *lines]))


def _clipped(problem: str) -> str:
    line = " ".join(problem.split("\n"))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 4]} ..."

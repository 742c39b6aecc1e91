"""config.yaml, read and checked as a whole.

`load_settings(config)` validates the mapping that Snakemake read, fills the defaults and returns a
`Settings`. Whatever is wrong comes back as one `ConfigError` that lists each wrong key with its
path and, where one is near, the key or name that was probably meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deltatune.config.checks import files, references
from deltatune.config.messages import describe
from deltatune.config.model import Settings
from deltatune.config.problems import ConfigError, Problem
from deltatune.core.text import did_you_mean
from deltatune.tasks.base import TaskSettings
from deltatune.tasks.registry import available_kinds, load_kind

_BROKEN = re.compile(r"[\0\ud800-\udfff]")


def load_settings(config: Mapping[str, Any], folder: Path = Path(".")) -> Settings:
    """Validate the mapping from config.yaml.

    folder: where relative paths start, and data/sample lies.
    Raises ConfigError with a problem for each thing that is wrong.
    """
    if broken := list(_broken_texts(config)):
        raise ConfigError(broken)
    tasks, problems = _tasks(config.get("tasks"))
    try:
        settings = Settings.model_validate({**config, **({"tasks": tasks} if tasks else {})})
    except ValidationError as error:
        raise ConfigError(
            [*(describe(e, (), Settings) for e in error.errors()), *problems]
        ) from None
    # Files are looked for only once every name points somewhere.
    problems = problems or list(references(settings)) or list(files(settings, folder))
    if problems:
        raise ConfigError(problems)
    return settings


def _tasks(raw: Any) -> tuple[dict[str, TaskSettings], list[Problem]]:
    """(the tasks as their kinds read them, what is wrong with the others)."""
    tasks: dict[str, TaskSettings] = {}
    problems: list[Problem] = []
    for name, value in (raw if isinstance(raw, Mapping) else {}).items():
        name = str(name)
        path = f"tasks.{name}"
        if isinstance(value, TaskSettings):
            tasks[name] = value
        elif not isinstance(value, Mapping):
            problems.append(Problem(path, "expected a mapping with `kind` and `dataset`"))
        elif (kind := value.get("kind")) not in available_kinds():
            problems.append(
                Problem(
                    f"{path}.kind",
                    f"{kind!r} is no kind of task{did_you_mean(kind, available_kinds())}; "
                    f"there are {', '.join(available_kinds())}",
                )
            )
        else:
            model = load_kind(kind).Settings
            try:
                tasks[name] = model.model_validate(dict(value))
            except ValidationError as error:
                problems += [describe(e, ("tasks", name), model) for e in error.errors()]
    return tasks, problems


def _broken_texts(value: Any, path: str = "") -> Iterator[Problem]:
    """Each text that cannot be written to a file: pydantic stops at them or lets them
    pass, depending on where they stand."""
    inside: Any = ()
    if isinstance(value, Mapping):
        inside = value.items()
    elif isinstance(value, list | tuple):
        inside = enumerate(value)
    elif isinstance(value, str) and _BROKEN.search(value):
        yield Problem(path, "the text holds a NUL byte or half a surrogate pair")
    for key, part in inside:
        if isinstance(key, str) and _BROKEN.search(key):
            yield Problem(path, "a key holds a NUL byte or half a surrogate pair")
        else:
            yield from _broken_texts(part, f"{path}.{key}".removeprefix("."))

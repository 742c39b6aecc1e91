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

from pydantic import BaseModel, ValidationError

from deltatune.config.checks import files, references
from deltatune.config.messages import describe, not_a_number
from deltatune.config.model import Settings
from deltatune.config.problems import ConfigError, Problem

_BROKEN = re.compile(r"[\0\ud800-\udfff]")


def load_settings(config: Mapping[str, Any], folder: Path = Path(".")) -> Settings:
    """Validate the mapping from config.yaml.

    folder: where relative paths start, and data/sample lies.
    Raises ConfigError with a problem for each thing that is wrong.
    """
    settings = validate_settings(config)
    # Files are looked for only once every name points somewhere.
    if problems := list(files(settings, folder)):
        raise ConfigError(problems)
    return settings


def validate_settings(config: Mapping[str, Any]) -> Settings:
    """The same, whether the files that it names are there or not."""
    if broken := list(_broken_texts(config)):
        raise ConfigError(broken)
    try:
        settings = Settings.model_validate(config)
    except ValidationError as error:
        raise ConfigError(describe(error.errors())) from None
    if truths := list(_truths_for_numbers(config, settings)):
        raise ConfigError(truths)
    if problems := list(references(settings)):
        raise ConfigError(problems)
    return settings


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


def _truths_for_numbers(given: Any, read: Any, path: str = "") -> Iterator[Problem]:
    """Each true or false that pydantic has read as a number. given: as in the file."""
    if isinstance(given, bool):
        if isinstance(read, int | float) and not isinstance(read, bool):
            yield not_a_number(path, given)
        return
    pairs: Any = ()
    if isinstance(given, Mapping):
        values = dict(read) if isinstance(read, Mapping | BaseModel) else {}
        pairs = ((key, part, values.get(key)) for key, part in given.items())
    elif isinstance(given, list | tuple) and isinstance(read, list | tuple):
        pairs = ((number, *both) for number, both in enumerate(zip(given, read, strict=False)))
    for key, part, value in pairs:
        yield from _truths_for_numbers(part, value, f"{path}.{key}".removeprefix("."))

"""Messages for values in config.yaml that their types refuse."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from deltatune.config.model import Settings, sections_in
from deltatune.config.problems import Problem
from deltatune.config.upstream import file_path
from deltatune.core.text import did_you_mean

#: A key that had another name in an earlier version -> its name now.
RENAMED = {
    "elsewhere": "cross_task",
    "quantisation": "quantization",  # codespell:ignore
    "optimiser": "optimizer",  # codespell:ignore
}

_BOUNDS = {"greater_than_equal", "less_than_equal"}

#: A key whose smaller values could not show any difference -> why.
TOO_FEW = {
    "confidence": "a level so high leaves no p-value that could be below it",
    "max_examples": "so few examples cannot show any difference",
    "resamples": "so few draws give no p-value that is small enough for several tests",
}


#: The keys that choose the type of a section -> what one that is not known is called.
_TAGS = {"source": "is not a source", "kind": "is no kind of task"}


def describe(error: ErrorDetails) -> Problem:
    """What one pydantic error of `Settings` means: where it is, what is wrong, what was probably
    meant."""
    place = tuple(error["loc"])
    shown = file_path(place)
    path = ".".join(shown)
    kind = error["type"]
    if place and place[-1] == "[key]" and kind != "value_error":
        parent = ".".join(shown[:-2])
        return Problem(parent, f"the key {_short(error['input'])} is not text; write it in quotes")
    if kind == "extra_forbidden":
        return Problem(path, _unknown_key(str(place[-1]), _fields_at(place[:-1])))
    if kind == "missing":
        return Problem(path, "this key is required")
    if kind == "model_attributes_type":
        keys = "`kind` and `dataset`" if place[0] == "tasks" else "`source`"
        return Problem(path, f"expected a mapping with {keys} (it is {_short(error['input'])})")
    if kind.startswith("union_tag"):
        key = error["ctx"]["discriminator"].strip("'")
        if kind == "union_tag_not_found":
            return Problem(f"{path}.{key}", "this key is required")
        tag, known = error["input"][key], re.findall(r"'([^']+)'", error["ctx"]["expected_tags"])
        message = f"{_short(tag)} {_TAGS[key]}{did_you_mean(tag, known)}; there are "
        return Problem(f"{path}.{key}", message + ", ".join(known))
    if kind == "value_error":
        return Problem(path, str(error["ctx"]["error"]))
    if kind == "string_type" and isinstance(error["input"], bool | int | float | date):
        return Problem(path, f"{_short(error['input'])} is not text; write it in quotes")
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        hint = did_you_mean(error["input"], re.findall(r"'([^']+)'", expected))
        return Problem(path, f"{_short(error['input'])} is not one of {expected}{hint}")
    message = error["msg"]
    why = TOO_FEW.get(str(place[-1]), "") if place and kind in _BOUNDS else ""
    because = f": {why}" if why else ""
    return Problem(
        path, f"{message[0].lower()}{message[1:]} (it is {_short(error['input'])}){because}"
    )


def _unknown_key(key: str, known: list[str]) -> str:
    if (new := RENAMED.get(key)) in known:
        return f"this key is now called {new}"
    return f"unknown key{did_you_mean(key, known)}; known here: {', '.join(known)}"


def _fields_at(path: tuple) -> list[str]:
    """The keys that a section knows, for near matches. path: its `loc`."""
    options: list[type[BaseModel]] = [Settings]
    parts = iter(path)
    for part in parts:
        # Of several types the `loc` names the one by its tag, which may be a key of another.
        if len(options) > 1 and (chosen := [o for o in options if part in {_tag(o), o.__name__}]):
            options = chosen
            continue
        fields = [o.model_fields[part] for o in options if part in o.model_fields]
        inner = [section for field in fields for section in sections_in(field.annotation)]
        options = inner or options
        if any(get_origin(field.annotation) is dict for field in fields):
            next(parts, None)  # a key of the file's own
    return sorted({name for option in options for name in option.model_fields})


def _tag(model: type[BaseModel]) -> str | None:
    """Its value of the key that chooses it."""
    fields = [model.model_fields[key] for key in _TAGS if key in model.model_fields]
    values = get_args(fields[0].annotation) if fields else ()
    return values[0] if values else None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

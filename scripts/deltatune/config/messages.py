"""Messages for values in config.yaml that their types refuse."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, get_args

from pydantic import BaseModel

from deltatune.config.model import sections_in
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


def describe(error: dict, prefix: tuple, model: type[BaseModel]) -> Problem:
    """What one pydantic error means: where it is, what is wrong, what was probably meant.

    prefix: path of the section that was validated. model: its type.
    """
    place = tuple(error["loc"])
    shown = file_path(place)
    path = ".".join([*prefix, *shown])
    kind = error["type"]
    if place and place[-1] == "[key]" and kind != "value_error":
        parent = ".".join([*prefix, *shown[:-2]])
        return Problem(parent, f"the key {_short(error['input'])} is not text; write it in quotes")
    if kind == "extra_forbidden":
        return Problem(path, _unknown_key(str(place[-1]), _fields_at(model, place[:-1])))
    if kind == "missing":
        return Problem(path, "this key is required")
    if kind == "union_tag_not_found":
        return Problem(f"{path}.source", "this key is required")
    if kind == "union_tag_invalid":
        tag, expected = error["ctx"]["tag"], error["ctx"]["expected_tags"]
        hint = did_you_mean(tag, re.findall(r"[a-z]+", expected))
        return Problem(
            f"{path}.source", f"{_short(tag)} is not a source{hint}; there are {expected}"
        )
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


def _fields_at(model: type[BaseModel], path: tuple) -> list[str]:
    """The keys that a section knows, for near matches; [] where the path leaves the model."""
    options: list[type[BaseModel]] = [model]
    for part in path:
        inner: list[type[BaseModel]] = []
        for option in options:
            field = option.model_fields.get(str(part))
            if field is not None:
                inner += sections_in(field.annotation)
            elif str(part) in {_tag(option), option.__name__}:
                inner.append(option)
        # A dict's own key, or the tag of a discriminated union, stays where it is.
        options = inner or options
    tagged = [o for o in options if _tag(o) in map(str, path)] or options
    return sorted({name for option in tagged for name in option.model_fields})


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("source")
    values = get_args(field.annotation) if field else ()
    return values[0] if values else None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

"""What is said of a value in config.yaml that its type refuses."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from pydantic import BaseModel

from deltatune.core.text import did_you_mean


def describe(error: dict, prefix: tuple, model: type[BaseModel]) -> str:
    """One line for one pydantic error: where it is, what is wrong, what was probably meant."""
    place = tuple(error["loc"])
    # pydantic puts the chosen member of a union into the path; the file has no such key.
    tags = {"sample", "file", "hub", "url", "pretrain", "local"}
    shown = [
        str(part)
        for i, part in enumerate(place)
        if not (i == 2 and place[0] in ("datasets", "models") and part in tags)
        and not re.fullmatch(
            r"(list|literal|str|bool|dict|constrained)\b.*\[.*\]|(constrained-)?(str|bool|int|float)",
            str(part),
        )
    ]
    where = ".".join([*prefix, *shown]) or "config.yaml"
    kind, message = error["type"], error["msg"]
    if place and place[-1] == "[key]" and kind != "value_error":
        parent = ".".join([*prefix, *shown[:-2]])
        return f"{parent}: the key {_short(error['input'])} is no text; write it in quotes"
    if kind == "string_type" and isinstance(error["input"], bool | int | float | date):
        return f"{where}: {_short(error['input'])} is no text; write it in quotes"
    if kind == "extra_forbidden":
        known = _fields_at(model, place[:-1])
        return (
            f"{where}: unknown key{did_you_mean(place[-1], known)}; known here: {', '.join(known)}"
        )
    if kind == "missing":
        return f"{where}: this key is needed"
    if kind == "union_tag_invalid":
        tag, tags = error["ctx"]["tag"], error["ctx"]["expected_tags"]
        near = did_you_mean(tag, re.findall(r"[a-z]+", tags))
        return f"{where}.source: {_short(tag)} is no source{near}; there are {tags}"
    if kind == "union_tag_not_found":
        return f"{where}.source: this key is needed"
    if kind == "value_error":
        return f"{where}: {error['ctx']['error']}"
    if kind == "literal_error":
        options = re.findall(r"'([^']+)'", error["ctx"]["expected"])
        return (
            f"{where}: {_short(error['input'])} is not one of {error['ctx']['expected']}"
            + did_you_mean(error["input"], options)
        )
    return f"{where}: {message[0].lower()}{message[1:]} (it is {_short(error['input'])})"


def _fields_at(model: type[BaseModel], path: tuple) -> list[str]:
    """The keys that a section knows, for near matches; [] where the path leaves the model."""
    options: list[type[BaseModel]] = [model]
    for part in path:
        found: list[type[BaseModel]] = []
        for option in options:
            field = option.model_fields.get(str(part))
            if field is not None:
                found += _models_in(field.annotation)
            elif str(part) in {_tag(option), option.__name__}:
                found.append(option)
        # A dict's own key, or the tag of a discriminated union, stays where it is.
        options = found or options
    tagged = [o for o in options if _tag(o) in map(str, path)] or options
    return sorted({name for option in tagged for name in option.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = getattr(annotation, "__args__", ())
    return [model for argument in inner for model in _models_in(argument)]


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("source")
    values = getattr(field.annotation, "__args__", ()) if field else ()
    return values[0] if values else None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

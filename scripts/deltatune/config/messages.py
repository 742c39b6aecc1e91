"""Messages for values in config.yaml that their types refuse."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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


#: pydantic's type of an error -> what it expects. `literal_error` has its own.
_EXPECTED = {
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}


def describe(errors: Sequence[ErrorDetails]) -> list[Problem]:
    """What pydantic's errors of `Settings` mean, one problem for each value that is wrong.

    Of a key that takes several types pydantic has an error for each of them. What goes deeper into
    the value, or is wrong with it as what it is, is of the type that was meant; where the value is
    of none of them, one problem has what is expected.
    """
    places: dict[str, list[ErrorDetails]] = {}
    for error in errors:
        places.setdefault(_path(error), []).append(error)
    inner = {parent for path in places for parent in _parents(path)}
    problems = []
    for path, refusals in places.items():
        right_type = [one for one in refusals if one["type"] not in (*_EXPECTED, "literal_error")]
        if right_type:
            problems += [_problem(right_type[0])]
        elif path not in inner:
            problems += [_of_no_type(path, refusals)]
    return problems


def not_a_number(path: str, value: bool) -> Problem:
    """pydantic takes true for 1: `learning_rate: yes` would be a rate of 1."""
    return Problem(path, f"expected a number (it is {_short(value)}{_read_as(value)})")


def _path(error: ErrorDetails) -> str:
    return ".".join(part for part in file_path(tuple(error["loc"])) if part != "[key]")


def _parents(path: str) -> Iterable[str]:
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def _of_no_type(path: str, errors: list[ErrorDetails]) -> Problem:
    unquoted = [error for error in errors if _is_unquoted(error)]
    if unquoted or len(errors) == 1:
        return _problem([*unquoted, *errors][0])
    expected = dict.fromkeys(_expected(error) for error in errors)
    value = errors[0]["input"]
    words = [e["ctx"]["expected"] for e in errors if e["type"] == "literal_error"]
    hint = did_you_mean(value, re.findall(r"'([^']+)'", " ".join(words)))
    it_is = f"(it is {_short(value)}{_read_as(value)})"
    return Problem(path, f"expected {' or '.join(expected).rstrip(',')} {it_is}{hint}")


def _is_unquoted(error: ErrorDetails) -> bool:
    """Whether text is expected, and there is what YAML takes for something else."""
    return error["type"] == "string_type" and isinstance(error["input"], bool | int | float | date)


def _expected(error: ErrorDetails) -> str:
    if error["type"] == "literal_error":
        return error["ctx"]["expected"]
    example = isinstance(value := error["input"], str | int | float)
    if error["type"] == "list_type" and example and not isinstance(value, bool):
        return f"a list, such as [{_short(value)}],"
    return _EXPECTED[error["type"]]


def _problem(error: ErrorDetails) -> Problem:
    """What one error means: where it is, what is wrong, what was probably meant."""
    place, path, kind = tuple(error["loc"]), _path(error), error["type"]
    if place and place[-1] == "[key]" and kind != "value_error":
        parent = path.rpartition(".")[0]
        return Problem(parent, f"the key {_short(error['input'])} is not text; write it in quotes")
    if kind == "extra_forbidden":
        return Problem(path, _unknown_key(str(place[-1]), _fields_at(place[:-1])))
    if kind == "missing":
        return Problem(path, "this key is required")
    if kind == "model_attributes_type":
        keys = "`kind` and `dataset`" if place[0] == "tasks" else "`source`"
        return Problem(path, f"expected a mapping with {keys} (it is {_short(error['input'])})")
    if kind.startswith("union_tag"):
        return _of_no_tag(path, error)
    if kind == "value_error":
        return Problem(path, str(error["ctx"]["error"]))
    if _is_unquoted(error):
        why = _read_as(error["input"])
        return Problem(path, f"{_short(error['input'])} is not text; write it in quotes{why}")
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        hint = did_you_mean(error["input"], re.findall(r"'([^']+)'", expected))
        shown = f"{_short(error['input'])} is not one of {expected}{hint}"
        return Problem(path, shown + _read_as(error["input"]))
    return Problem(path, _sentence(error))


def _of_no_tag(path: str, error: ErrorDetails) -> Problem:
    """A section without the key that chooses its type, or with an unknown value there."""
    key = error["ctx"]["discriminator"].strip("'")
    if error["type"] == "union_tag_not_found":
        return Problem(f"{path}.{key}", "this key is required")
    tag, known = error["input"][key], re.findall(r"'([^']+)'", error["ctx"]["expected_tags"])
    message = f"{_short(tag)} {_TAGS[key]}{did_you_mean(tag, known)}; there are "
    return Problem(f"{path}.{key}", message + ", ".join(known))


def _sentence(error: ErrorDetails) -> str:
    place, kind, value = error["loc"], error["type"], error["input"]
    why = TOO_FEW.get(str(place[-1]), "") if place and kind in _BOUNDS else ""
    because = f": {why}" if why else ""
    if kind == "too_short":
        message = "expected at least 1 item"
    elif kind in _EXPECTED:
        message = f"expected {_expected(error)}".rstrip(",")
    else:
        message = f"{error['msg'][0].lower()}{error['msg'][1:]}"
    return f"{message} (it is {_short(value)}{_read_as(value)}){because}"


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


def _read_as(value: Any) -> str:
    """What may have been written where YAML reads true or false."""
    words = {True: "yes and on", False: "no and off"}
    known = isinstance(value, bool)
    return f"; YAML reads {words[value]} as {_short(value)}" if known else ""


def _short(value: Any) -> str:
    names = {None: "null", True: "true", False: "false"}
    text = names[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

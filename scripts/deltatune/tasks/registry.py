"""The kinds of task, found by the name of their module.

Adding a kind is adding a module: `tasks.base.TaskKind` says what it holds.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from functools import cache, reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field

from deltatune.core.errors import UserError
from deltatune.data.records import CHAPTER
from deltatune.tasks.base import PROTOCOLS, TaskKind, TaskSettings
from deltatune.tokens.settings import Truncation

_NOT_KINDS = {"answers", "base", "registry"}


def available_kinds() -> list[str]:
    """Names of all kinds, from the files that are there."""
    names = {module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])}
    return sorted(names - _NOT_KINDS)


@cache
def load_kind(kind: str) -> TaskKind:
    """The module of a kind. Raises UserError where it is not what `tasks.base` asks of it."""
    module = importlib.import_module(f"deltatune.tasks.{kind}")
    where = f"scripts/deltatune/tasks/{kind}.py"
    outputs = getattr(module, "OUTPUTS", None)
    if outputs not in PROTOCOLS:
        raise UserError(f"{where}: OUTPUTS is one of {', '.join(PROTOCOLS)}, not {outputs!r}")
    protocol = PROTOCOLS[outputs]
    missing = [name for name in members(protocol) if not hasattr(module, name)]
    if missing:
        raise UserError(
            f"{where} lacks {', '.join(missing)}: {protocol.__name__} in "
            "scripts/deltatune/tasks/base.py says what a kind of task holds"
        )
    if module.TRUNCATION not in get_args(Truncation):
        allowed = ", ".join(get_args(Truncation))
        raise UserError(f"{where}: TRUNCATION is one of {allowed}, not {module.TRUNCATION!r}")
    if not issubclass(module.Settings, TaskSettings):
        raise UserError(f"{where}: Settings is no subclass of TaskSettings")
    for name in ("Records", "Prompts"):
        if not issubclass(module.Settings, getattr(module, name)):
            raise UserError(f"{where}: Settings is no subclass of {name}, whose keys it has")
    evaluation = module.Settings.model_fields.get("evaluation")
    if not evaluation or not issubclass(evaluation.annotation, module.Questions):
        raise UserError(f"{where}: Settings has no `evaluation` of a subclass of Questions")
    if get_args(module.Settings.model_fields["kind"].annotation) != (kind,):
        raise UserError(f'{where}: `kind` of Settings is not Literal["{kind}"]')
    return module


def any_task() -> Any:
    """The type of a task: `Settings` of the kind that it names."""
    union = reduce(or_, (load_kind(kind).Settings for kind in available_kinds()))
    return Annotated[union, Field(discriminator="kind")]


def fields_of(kinds: Iterable[str]) -> list[str]:
    """The fields of records that tasks of these kinds look at, sorted."""
    modules = [load_kind(kind) for kind in kinds]
    named = [(*kind.FIELDS, kind.LABEL_FIELD, CHAPTER) for kind in modules]
    return sorted({field for fields in named for field in fields if field is not None})


def members(protocol: type) -> list[str]:
    """Names of the fields and functions of a protocol and of those that it extends."""
    fields = [name for each in protocol.__mro__ for name in inspect.get_annotations(each)]
    functions = [name for name, _ in inspect.getmembers(protocol, inspect.isfunction)]
    return [name for name in (*fields, *functions) if not name.startswith("_")]

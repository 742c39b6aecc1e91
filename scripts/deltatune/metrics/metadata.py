"""What a metric says of itself, read from its source: importing it would take seconds.

Params of rules and captions need the title and the direction of a metric before anything runs.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache

from deltatune.core.errors import UserError
from deltatune.metrics.registry import metric_file


@dataclass(frozen=True)
class Metadata:
    title: str
    higher_is_better: bool


@cache
def metadata(outputs: str, name: str) -> Metadata:
    """The title and the direction of a metric, as its class states them.

    Raises UserError for a metric that does not exist, and for one whose class does not state both
    as plain values.
    """
    file = metric_file(outputs, name)
    values = _class_values(ast.parse(file.read_text(encoding="utf-8")))
    try:
        return Metadata(values["title"], values["higher_is_better"])
    except KeyError as error:
        raise UserError(
            f"scripts/deltatune/metrics/{outputs}/{name}.py: the metric's class must state "
            f'{error.args[0]} as a plain value, for example `title = "BLEU"` and '
            "`higher_is_better = True`"
        ) from None


def _class_values(tree: ast.Module) -> dict[str, str | bool]:
    """The plain values that the classes of a module assign to names."""
    return {
        target.id: statement.value.value
        for definition in tree.body
        if isinstance(definition, ast.ClassDef)
        for statement in definition.body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }

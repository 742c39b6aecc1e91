"""The files of the report's plan, by their places among the inputs of its rule.

A param has no paths: they reach a script through its inputs, where Snakemake sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def exchange(plan: Mapping[str, Any], file: Callable[[Any], Any]) -> dict[str, Any]:
    """The plan with each of its files as `file` gives it: of a path its place, or of a place its
    path.

    plan: see `workflow.report_inputs`.
    """

    def tree(node: Any) -> Any:
        if isinstance(node, Mapping):
            return {name: tree(part) for name, part in node.items()}
        return [tree(part) for part in node] if isinstance(node, list) else file(node)

    def part(one: Mapping[str, Any]) -> dict[str, Any]:
        return {**one, "files": tree(one["files"])}

    return {
        **plan,
        **{
            section: {name: part(one) for name, one in plan[section].items()}
            for section in ("experiments", "tasks")
        },
        "pairs": [part(one) for one in plan["pairs"]],
        "models": tree(plan["models"]),
        "jobs": tree(plan["jobs"]),
    }

"""The optimizers that transformers knows, without importing it."""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def optimizer_names() -> tuple[str, ...]:
    """The names in `transformers.training_args.OptimizerNames`, sorted, read from the source of
    transformers 5.23: importing it takes seconds.

    Empty where transformers is not installed, as in an environment with snakemake alone. Some
    optimizers need further packages, which is reported when training begins.
    """
    package = find_spec("transformers")
    if package is None or not package.submodule_search_locations:
        return ()
    source = Path(package.submodule_search_locations[0], "training_args.py")
    if not source.is_file():
        return ()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == "OptimizerNames":
            values = [ast.literal_eval(n.value) for n in node.body if isinstance(n, ast.Assign)]
            return tuple(sorted(values))
    return ()

"""The fingerprint of the code that a stage runs.

Snakemake's own `code` trigger sees the mtime of the script alone, so a fresh checkout re-trains
and an edit in an imported module goes unseen. Here a stage's fingerprint covers its script and
every module of the library that it imports, directly or not, and only what they mean: comments,
layout and docstrings are left out.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

LIBRARY = Path(__file__).resolve().parent


def code_digest(script: Path, plugins: tuple[str, ...] = ()) -> str:
    """sha256 over a script and all library modules that it reaches.

    plugins: modules that are found by name at run time ("deltatune.tasks.prose"), which no
    import statement shows.
    """
    files = {script.resolve(): None}
    todo = [*_imports(script.resolve()), *filter(None, map(_file, plugins))]
    while todo:
        file = todo.pop()
        if file not in files:
            files[file] = None
            todo += _imports(file)
    lines = sorted(f"{_label(file)} {_meaning(file)}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _label(file: Path) -> str:
    root = LIBRARY.parent
    return str(file.relative_to(root)) if file.is_relative_to(root) else file.name


def _file(module: str) -> Path | None:
    """The file of `deltatune.a.b`, or None for anything outside the library."""
    parts = module.split(".")
    if parts[0] != LIBRARY.name:
        return None
    base = LIBRARY.joinpath(*parts[1:])
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.is_file():
            return file
    return None


@cache
def _imports(file: Path) -> tuple[Path, ...]:
    """Files of the library that a file imports, anywhere in it, packages on the way included."""
    names: set[str] = set()
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    prefixes = {".".join(n.split(".")[: i + 1]) for n in names for i in range(n.count(".") + 1)}
    return tuple(sorted(found for name in prefixes if (found := _file(name))))


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


@cache
def _meaning(file: Path) -> str:
    """sha256 of a file's syntax tree without docstrings and positions."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            node.body = body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()

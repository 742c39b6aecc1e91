"""The digest of the code that a stage runs.

Snakemake's own `code` trigger sees the mtime of the script alone, so a fresh checkout re-trains
and an edit in an imported module goes unseen. Here a stage's digest covers its script and
every module of the library that it imports, directly or not, and only what they mean: comments,
layout and docstrings are left out, those of attributes too.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from deltatune.core.paths import LIBRARY


@cache
def code_digest(script: Path, plugins: tuple[str, ...] = ()) -> str:
    """sha256 over a script and all library modules that it reaches.

    plugins: modules that are found by name at run time ("deltatune.tasks.prose"), which no
    import statement shows. Raises ValueError for a plugin that is not there.
    """
    for plugin in plugins:
        if _file(plugin) is None:
            raise ValueError(f"there is no module {plugin}")
    files = {script.resolve(): None}
    todo = [*_imports(script.resolve()), *_files(plugins)]
    while todo:
        file = todo.pop()
        if file not in files:
            files[file] = None
            todo += _imports(file)
    lines = sorted(f"{_label(file)} {_parsed(_text(file))[1]}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _label(file: Path) -> str:
    root = LIBRARY.parent
    return str(file.relative_to(root)) if file.is_relative_to(root) else file.name


@cache
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


def _files(names: Iterable[str]) -> list[Path]:
    """Files of the library behind module names, with the packages that they lie in."""
    prefixes = {".".join(n.split(".")[: i + 1]) for n in names for i in range(n.count(".") + 1)}
    return sorted(file for name in prefixes if (file := _file(name)))


@cache
def _imports(file: Path) -> list[Path]:
    return _files(_parsed(_text(file))[0])


@cache
def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


@cache
def _parsed(text: str) -> tuple[frozenset[str], str]:
    """(what a module imports, anywhere in it; sha256 of its syntax tree without docstrings)."""
    names: set[str] = set()
    written: list[str] = []
    _write(ast.parse(text), names, written)
    return frozenset(names), hashlib.sha256("".join(written).encode()).hexdigest()


def _write(node: object, names: set[str], written: list[str]) -> None:
    """Append a syntax tree as text to `written`, and to `names` what it imports.

    `ast.dump` would give other words under another minor version of Python: each adds fields to
    its nodes, which are empty wherever the syntax is the old, 3.12 puts empty strings into
    f-strings, and each knows other characters that can be printed. So what is empty is left out
    here, and strings are written in ASCII.
    """
    if isinstance(node, ast.AST):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        written.append(f"{type(node).__name__}(")
        for field in node._fields:
            value = getattr(node, field, None)
            # A string that stands alone does nothing, below a field of a class as little as at
            # the top.
            if field == "body" and isinstance(value, list):
                value = [line for line in value if not _is_docstring(line)]
            if isinstance(node, ast.JoinedStr):
                value = [part for part in value if getattr(part, "value", None) != ""]
            if isinstance(node, ast.Constant) or value not in (None, []):
                written.append(f"{field}=")
                _write(value, names, written)
        written.append(")")
    elif isinstance(node, list):
        written.append("[")
        for item in node:
            _write(item, names, written)
        written.append("]")
    else:
        written.append(f"{node!a},")


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )

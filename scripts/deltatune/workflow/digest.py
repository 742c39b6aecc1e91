"""The digest of the code that a stage runs.

Snakemake's own `code` trigger sees the mtime of the script alone, so a fresh checkout re-trains
and an edit in an imported module goes unseen. Here a stage's digest covers its script and
every module of the library that it imports, directly or not, and only what decides a result. Left
out are comments, layout, docstrings (those of attributes too), what is imported for types alone,
and the words of messages, see `MESSAGES`. Of the modules in `OUTSIDE` only a version counts.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deltatune.core.paths import LIBRARY

MESSAGES = frozenset({"UserError", "ValueError", "say", "progress", "print"})
"""What takes a text that is shown or logged, and stands in no result. Exceptions of other classes
may carry a code, so their text counts."""


@dataclass(frozen=True)
class Outside:
    version: int
    """To be raised with an edit that changes a result: what reaches the module runs again."""
    reason: str


OUTSIDE = {
    "core/cache.py": Outside(1, "whether a result is found or computed, not what it is"),
    "core/disk.py": Outside(1, "the message about a disk that cannot be written to"),
    "core/gpu_devices.py": Outside(1, "which GPUs there are, not what is computed on them"),
    "core/gpu_slots.py": Outside(1, "on which GPU a job runs and when, not what it makes"),
    "core/signals.py": Outside(1, "when a job stops, not what it makes"),
    "core/terminal.py": Outside(1, "messages of a running job"),
    "core/text.py": Outside(1, "text for people: excerpts, near matches, sizes of files"),
    "models/activations.py": Outside(1, "what memory a step takes, not what it computes"),
    "models/dimensions.py": Outside(1, "sizes of a model, by which memory is estimated"),
    "models/memory.py": Outside(1, "what memory a step takes, not what it computes"),
    "models/micro_batch.py": Outside(1, "how many rows of a step at a time, not which"),
    "train/memory.py": Outside(1, "how many rows of a step at a time, not which"),
    "train/step.py": Outside(1, "by which kernels a GPU computes a step, not what a step is"),
}
"""Modules that nearly every stage reaches and that decide no result, or only how one is written
down. What they import counts. `tests/unit/test_workflow_digest_outside.py` fails when one of them
changes, until its author has decided whether a result depends on it."""


@cache
def code_digest(script: Path, plugins: tuple[str, ...] = ()) -> str:
    """sha256 over a script and all library modules that it reaches, see `reached`."""
    lines = sorted(_line(file) for file in reached(script, plugins))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def reached(script: Path, plugins: tuple[str, ...] = ()) -> set[Path]:
    """The script and all files of the library that it imports, directly or not.

    plugins: modules that are found by name at run time ("deltatune.tasks.prose"), which no
    import statement shows. Raises ValueError for a plugin that is not there.
    """
    for plugin in plugins:
        if _file(plugin) is None:
            raise ValueError(f"there is no module {plugin}")
    files = {script.resolve()}
    todo = [*_imports(script.resolve()), *_files(plugins)]
    while todo:
        file = todo.pop()
        if file not in files:
            files.add(file)
            todo += _imports(file)
    return files


def _line(file: Path) -> str:
    """What a digest holds of a file."""
    root = LIBRARY.parent
    label = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
    outside = OUTSIDE.get(label.removeprefix(f"{LIBRARY.name}/"))
    return f"{label} version {outside.version}" if outside else f"{label} {tree_hash(_text(file))}"


def tree_hash(text: str) -> str:
    """sha256 of a module's syntax tree, without what decides no result."""
    return _parsed(text)[1]


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
    """(what a module imports when it runs, anywhere in it; `tree_hash`)."""
    names: set[str] = set()
    written: list[str] = []
    _write(ast.parse(text), names, written)
    return frozenset(names), hashlib.sha256("".join(written).encode()).hexdigest()


def _write(node: ast.AST, names: set[str], written: list[str], is_text: bool = False) -> None:
    """Append a syntax tree as text to `written`, and to `names` what it imports.

    is_text: the value of the node is the text of a message, or a part of it, so that the words in
    it are left out. What is computed for the message counts.

    `ast.dump` would give other words under another minor version of Python: each adds fields to
    its nodes, which are empty wherever the syntax is the old, 3.12 puts empty strings into
    f-strings, and each knows other characters that can be printed. So what is empty is left out
    here, and strings are written in ASCII.

    Each start of snakemake does this with the whole library, so a node without fields and what is
    no node are written where they stand.
    """
    kind = type(node)
    if kind is ast.Constant:
        fields = "" if is_text and _is_string(node) else f"value={node.value!a},kind={node.kind!a},"
        written.append(f"Constant({fields})")
        return
    if kind is ast.Import:
        names.update(alias.name for alias in node.names)
    elif kind is ast.ImportFrom and node.module and node.level == 0:
        names.add(node.module)
        names.update(f"{node.module}.{alias.name}" for alias in node.names)
    written.append(f"{kind.__name__}(")
    text_fields = _text_fields(node, is_text)
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, ast.AST):
            if value._fields:
                written.append(f"{field}=")
                _write(value, names, written, field in text_fields)
            else:
                written.append(f"{field}={type(value).__name__}()")
        elif isinstance(value, list):
            _write_list(field, _counted(value, node, is_text), names, written, field in text_fields)
        elif value is not None:
            written.append(f"{field}={value!a},")
    written.append(")")


def _write_list(
    field: str, items: list, names: set[str], written: list[str], is_text: bool
) -> None:
    """Append what a field lists, if there is anything."""
    if items:
        written.append(f"{field}=[")
        for item in items:
            if isinstance(item, ast.AST):
                _write(item, names, written, is_text)
            else:
                written.append(f"{item!a},")
        written.append("]")


def _text_fields(node: ast.AST, is_text: bool) -> tuple[str, ...]:
    """The fields of a node that are the text of a message, where the node is one or sends one."""
    if isinstance(node, ast.Call):
        if _name(node.func) in MESSAGES:
            # `print(..., file=...)` may write a result.
            return () if any(k.arg in ("file", None) for k in node.keywords) else ("args",)
        return ("func",) if is_text and _name(node.func) in ("join", "format") else ()
    if not is_text:
        return ()
    if isinstance(node, ast.BinOp):
        return ("left", "right") if isinstance(node.op, ast.Add | ast.Mod) else ()
    return _PARTS_OF_TEXT.get(type(node), ())


_PARTS_OF_TEXT: dict[type[ast.AST], tuple[str, ...]] = {
    ast.JoinedStr: ("values",),
    ast.FormattedValue: ("value",),
    ast.IfExp: ("body", "orelse"),
    ast.BoolOp: ("values",),
    ast.Attribute: ("value",),
}
"""Fields whose value becomes text of the message as it is."""


def _name(function: ast.expr) -> str | None:
    """`f` of `f(...)` and of `a.f(...)`."""
    return getattr(function, "attr", getattr(function, "id", None))


def _is_string(node: object) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _counted(items: list, node: ast.AST, is_text: bool) -> list:
    """The items of a list of a node that count."""
    if isinstance(node, ast.JoinedStr):
        return [i for i in items if not (_is_string(i) and (is_text or i.value == ""))]
    if items and isinstance(items[0], ast.stmt):
        return [item for item in items if not _is_left_out(item)]
    return items


def _is_left_out(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.If):
        return _name(statement.test) == "TYPE_CHECKING" and not statement.orelse
    # A string that stands alone does nothing, below a field of a class as little as at the top.
    return isinstance(statement, ast.Expr) and _is_string(statement.value)

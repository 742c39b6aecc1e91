"""Functions and modules are short enough to be read at once."""

from __future__ import annotations

import ast

from conftest import ROOT

LIBRARY = ROOT / "scripts" / "deltatune"
MOST_OF_A_FUNCTION = 60
MOST_OF_A_MODULE = 400


def lengths() -> dict[str, int]:
    """`MODULE.py` or `MODULE.py FUNCTION` -> its lines, those of the docstring included."""
    measured = {}
    for path in sorted(LIBRARY.rglob("*.py")):
        name, text = path.relative_to(LIBRARY).as_posix(), path.read_text(encoding="utf-8")
        measured[name] = len(text.splitlines())
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                place = f"{name} {node.name}"
                lines = node.end_lineno - node.lineno + 1
                measured[place] = max(lines, measured.get(place, 0))
    return measured


def test_functions_and_modules_are_short():
    most = {False: MOST_OF_A_MODULE, True: MOST_OF_A_FUNCTION}
    measured = lengths()
    assert len(measured) > 500 and max(measured.values()) > 300
    assert {p: lines for p, lines in measured.items() if lines > most[" " in p]} == {}

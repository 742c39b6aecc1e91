"""docs/robustness.md says how much is tried; this keeps it true."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

from conftest import ROOT
from fuzzing import PROPERTIES

HERE = Path(__file__).parent
DOC = ROOT / "docs" / "robustness.md"


def test_the_counts_in_the_docs_are_those_of_the_tests():
    for path in HERE.glob("test_*_fuzz.py"):
        importlib.import_module(path.stem)
    others = [path for path in (ROOT / "tests").rglob("test_*.py") if path.parent != HERE]
    given = sum(map(_properties, others))
    text = " ".join(DOC.read_text(encoding="utf-8").split())
    numbers = re.search(r"([\d,]+) properties with ([\d,]+) examples in a run", text)
    counts = [int(count.replace(",", "")) for count in numbers.groups()]
    assert counts == [len(PROPERTIES), sum(PROPERTIES.values())]
    more = re.search(r"([\d,]+) more properties stand beside the unit tests", text)
    assert int(more[1].replace(",", "")) == given


def _properties(path: Path) -> int:
    """Tests with hypothesis' @given in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return sum(
        any(ast.unparse(d).startswith("given(") for d in node.decorator_list)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    )

"""The order of the tests, which conftest.py states by the names of files."""

from __future__ import annotations

from conftest import ROOT, SLOW, SPREAD


def test_the_files_that_begin_first_or_are_spread_are_there():
    names = {*SLOW, *SPREAD}
    assert [name for name in names if not (ROOT / "tests" / name).is_file()] == []

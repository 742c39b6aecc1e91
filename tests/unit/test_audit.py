"""What `make audit` makes of pip-audit's answers; the services are not asked in tests."""

import json
import re
import runpy

import pytest
from conftest import ROOT


@pytest.fixture
def audit():
    return runpy.run_path(str(ROOT / "scripts/audit_packages.py"))


FINE = {"name": "a", "version": "1.0", "vulns": []}
BAD = {
    "name": "b",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-2020-1"], "fix_versions": ["2.1"]}],
}
UNKNOWN = {"name": "c", "skip_reason": "not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "status", "line"),
    [
        ([FINE], 0, "1 packages audited, 0 vulnerable, 0 unknown"),
        ([FINE, BAD], 1, "b 2.0: PYSEC-1 CVE-2020-1; fixed in 2.1"),
        ([FINE, BAD, UNKNOWN], 1, "2 packages audited, 1 vulnerable, 1 unknown"),
        ([FINE, UNKNOWN], 2, "The service knows nothing of c: these were NOT audited."),
    ],
)
def test_what_was_not_audited_is_no_success(audit, packages, status, line):
    exit_status, lines = audit["summarize"](packages)
    assert exit_status == status and line in lines


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (json.dumps({"dependencies": [UNKNOWN]}), "it knows none of the packages"),
        ("", "no such host"),
    ],
)
def test_where_no_service_answers_it_says_so(audit, tmp_path, capsys, output, why):
    fake = tmp_path / "pip-audit"
    fake.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\necho no such host >&2\nexit 1\n")
    fake.chmod(0o755)
    audit["main"].__globals__["PIP_AUDIT"] = fake
    assert audit["main"]() == 2
    errors = capsys.readouterr().err
    assert "Nothing was audited" in errors and errors.count(why) == 2


def test_every_package_that_is_audited_has_one_exact_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
    assert pins and all(re.fullmatch(r"[\w.-]+==[\w.+!]+( ;.*)?", pin) for pin in pins)

"""Two renders of one run are the same bytes, in whatever folder and at whatever commit, but for the
sections that say which code made it and when."""

import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import made_reports
from conftest import ROOT
from deltatune.report import page
from deltatune.report.data import Checkout, ReportData

STATED = ("repeat", "provenance")
"""The sections that may differ."""
RENDER = """
import hashlib, sys
sys.path[:0] = ["scripts", "tests"]
import made_reports
from deltatune.report import page
text = page.render(made_reports.sweep(3, count=12), made_reports.TEMPLATE)
print(hashlib.sha256(text.encode()).hexdigest())
"""


def without_stated(html: str) -> str:
    for name in STATED:
        html, count = re.subn(rf'<section id="{name}".*?</section>', "", html, flags=re.DOTALL)
        assert count == 1, f"the section {name} is there"
    return html


def made_by(commit: str, started: str, modified: bool) -> ReportData:
    data = made_reports.sweep(3, count=12)
    data.checkouts = [Checkout(commit, modified)]
    data.provenance |= {
        "jobs": f"all 9 jobs at commit {commit[:10]}",
        "first job started": started,
        "last job ended": started.replace("T10", "T11"),
    }
    return data


def test_another_folder_hash_seed_and_no_checkout_give_the_same_bytes(tmp_path):
    for name in ("scripts/deltatune", "report"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    shutil.copy(made_reports.__file__, tmp_path / "tests")
    done = subprocess.run(
        [sys.executable, "-c", RENDER],
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    here = page.render(made_reports.sweep(3, count=12), made_reports.TEMPLATE)
    assert done.stdout.strip() == sha256(here.encode()).hexdigest()
    assert str(ROOT) not in here and str(Path.home()) not in here


def test_another_commit_and_other_times_change_the_stated_sections_alone():
    renders = [
        page.render(made_by(*code), made_reports.TEMPLATE)
        for code in (
            ("0123456789abcdef", "2026-01-01T10:00:00", False),
            ("fedcba9876543210", "2026-02-02T10:30:00", True),
        )
    ]
    assert renders[0] != renders[1]
    assert without_stated(renders[0]) == without_stated(renders[1])
    for commit in ("0123456789", "fedcba9876", "2026-01-01", "2026-02-02"):
        assert not any(commit in without_stated(html) for html in renders)

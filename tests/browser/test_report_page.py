"""The finished page in a real browser: it draws, its script runs, and it asks for nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


def browse(page: Path, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open a local file headless; the browser's own services stay off."""
    return subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            f"--user-data-dir={profile}",
            "--virtual-time-budget=4000",
            *options,
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def page(small_run: Path) -> Path:
    return small_run / "results/report.html"


def test_the_script_runs_without_errors(page, tmp_path):
    done = browse(page, tmp_path, "--dump-dom")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "CONSOLE" not in done.stderr, done.stderr[-2000:]
    for experiment in ("instructions-qlora", "prose-qlora", "news-qlora"):
        assert experiment in done.stdout
    # The headline table, and a figure for each experiment.
    assert done.stdout.count("<svg") >= 4
    assert re.search(r"<table", done.stdout)


@pytest.mark.parametrize("size", ["1280,2000", "390,2000"])
def test_it_draws_on_wide_and_narrow_screens(page, tmp_path, size):
    picture = tmp_path / "page.png"
    browse(page, tmp_path / "profile", f"--window-size={size}", f"--screenshot={picture}")
    # A blank picture of this size packs to a few kilobytes.
    assert picture.stat().st_size > 40_000


def test_it_needs_no_other_file(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", text)
    assert "@import" not in text

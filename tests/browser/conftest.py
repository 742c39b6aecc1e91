"""Browsers and pages that the tests of the report share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import browsers
import hostile_texts
import made_reports
import pytest
from deltatune.report import page
from deltatune.report.data import ReportData


@pytest.fixture(scope="session")
def driver() -> Iterator[browsers.Driver]:
    one = browsers.Driver()
    yield one
    one.close()


def start(name: str, request: pytest.FixtureRequest, folder: Path) -> browsers.Browser:
    """A browser; where it is not available the test is skipped, and in CI it fails."""
    if reason := browsers.missing(name):
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return browsers.launch(name, request.getfixturevalue("driver"), folder)


@pytest.fixture(scope="session")
def chromium(request, tmp_path_factory) -> browsers.Browser:
    return start("chromium", request, tmp_path_factory.mktemp("chromium"))


@pytest.fixture(scope="session")
def firefox(request, tmp_path_factory) -> browsers.Browser:
    return start("firefox", request, tmp_path_factory.mktemp("firefox"))


@pytest.fixture
def themed(request, tmp_path) -> Iterator[browsers.Browser]:
    """A browser of that name for one test alone."""
    one = start(request.param, request, tmp_path)
    yield one
    one.quit()


@pytest.fixture(params=["chromium", "firefox"])
def browser(request) -> browsers.Browser:
    """Each of both."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def report(request, tmp_path_factory) -> Callable[[str], Path]:
    """The page of that name, written once: default, real, sweep, wide, partial or hostile."""
    folder = tmp_path_factory.mktemp("pages")
    made: dict[str, Callable[[], ReportData]] = {
        "sweep": made_reports.sweep,
        "wide": made_reports.wide,
        "partial": made_reports.partial,
        "hostile": lambda: made_reports.hostile(hostile_texts.TEXTS),
        "real": lambda: made_reports.real(request.getfixturevalue("shared_data")),
    }

    def write(name: str) -> Path:
        if name == "default":
            return request.getfixturevalue("small_run") / "results/report.html"
        path = folder / f"{name}.html"
        if not path.exists():
            path.write_text(page.render(made[name](), made_reports.TEMPLATE), encoding="utf-8")
        return path

    return write

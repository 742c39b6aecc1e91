"""The page in real browsers: nothing overlaps, is clipped or too pale, and nothing is asked for."""

from __future__ import annotations

import look_at_pages as look
import pytest

PAGES = ["default", "real", "sweep", "partial", "hostile"]


def lines(faults: list[str]) -> str:
    return "\n".join(faults)


@pytest.mark.parametrize("view", look.VIEWS)
@pytest.mark.parametrize("name", PAGES)
def test_it_is_drawn_without_faults(chromium, report, name, view):
    size, options = look.VIEWS[view]
    with chromium.open(report(name), size, **options) as page:
        assert page.problems() == page.requests() == []
        assert lines(look.faults(page)) == ""


@pytest.mark.parametrize("view", ["light", "phone", "print"])
def test_many_tasks_are_drawn_without_faults(chromium, report, view):
    size, options = look.VIEWS[view]
    with chromium.open(report("wide"), size, **options) as page:
        assert page.problems() == page.requests() == []
        assert lines(look.faults(page)) == ""


@pytest.mark.parametrize("view", look.FIREFOX_VIEWS)
@pytest.mark.parametrize("name", ["real", "sweep", "hostile"])
def test_it_is_drawn_without_faults_in_firefox(firefox, report, name, view):
    with firefox.open(report(name), look.VIEWS[view][0]) as page:
        assert page.problems() == page.requests() == []
        assert lines(look.faults(page)) == ""


@pytest.mark.parametrize(
    ("themed", "media", "paper"),
    [
        ("firefox-dark", "(prefers-color-scheme: dark)", "rgb(20, 23, 26)"),
        ("firefox-forced", "(forced-colors: active)", "rgb(0, 0, 0)"),
    ],
    indirect=["themed"],
)
def test_it_is_drawn_without_faults_in_other_colors(themed, report, media, paper):
    for view in look.FIREFOX_VIEWS:
        with themed.open(report("real"), look.VIEWS[view][0]) as page:
            assert page.evaluate(f"matchMedia('{media}').matches")
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == paper
            assert page.problems() == page.requests() == []
            assert lines(look.faults(page)) == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["default", "real", "partial", "hostile"])
def test_it_is_accessible_with_all_of_it_opened(chromium, report, name, scheme):
    check_opened(chromium, report(name), scheme)


def test_a_sweep_is_accessible_with_all_of_it_opened(chromium, report):
    check_opened(chromium, report("sweep"), "light")


def check_opened(chromium, path, scheme):
    with chromium.open(path, scheme=scheme) as page:
        page.evaluate("() => document.querySelectorAll('details').forEach((one) => (one.open = 1))")
        assert lines(page.axe()) == ""

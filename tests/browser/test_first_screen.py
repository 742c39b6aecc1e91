"""The first screen: the whole verdict, the small matrix and the navigation, without scrolling."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from deltatune.report import page
from deltatune.report.figures import embed
from deltatune.report.words import first_screen, verdict
from made_reports import TEMPLATE, sweep

WORDS = "Tuning (mean of 3 seeds) helped on 3 of 3 tasks: instructions (ROUGE-L F1 0.123 to 0.554),"
MEASURE = """() => {
  const bottom = (one) => Math.round(one.getBoundingClientRect().bottom);
  const texts = [...document.querySelectorAll(".overall p")];
  return {
    viewport: [innerWidth, innerHeight],
    words: Math.max(...texts.map(bottom)),
    matrix: bottom(document.querySelector(".overview table")),
    navigation: bottom(document.querySelector("nav")),
    width: document.documentElement.scrollWidth,
  };
}"""
"""Where things end, in CSS pixels."""


def of_90_words() -> verdict.Summary:
    """As many as there can be: half of them in the sentence that is set largest."""
    words = (WORDS.split() * 6)[: first_screen.MOST_WORDS]
    ends = (0, first_screen.MOST_WORDS_OF_OWN, 60, 75, 83, first_screen.MOST_WORDS)
    sentences = [" ".join(words[a:b]) for a, b in pairwise(ends)]
    return verdict.Summary(sentences, [])


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[int, Path]:
    """Number of experiments -> their page."""
    folder = tmp_path_factory.mktemp("first-screen")
    files = {experiments: folder / f"{experiments}.html" for experiments in (3, 24)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embed, "to_svg", lambda *_: "<svg></svg>")
        patch.setattr(verdict, "summarize", lambda _: of_90_words())
        for experiments, file in files.items():
            html = page.render(sweep(experiments, count=6), TEMPLATE)
            file.write_text(html, encoding="utf-8")
    return files


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
@pytest.mark.parametrize("experiments", [3, 24])
def test_verdict_matrix_and_navigation_are_on_the_first_screen(browser, pages, experiments, size):
    with browser.open(pages[experiments], size) as opened:
        ends_at = opened.evaluate(MEASURE)
    assert ends_at["viewport"][0] == size[0], ends_at
    assert ends_at["navigation"] < 60, ends_at
    assert max(ends_at["words"], ends_at["matrix"]) <= size[1], ends_at
    assert ends_at["width"] <= size[0], "wider than the screen"

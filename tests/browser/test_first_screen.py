"""The first screen: the whole verdict, the small matrix and the navigation, without scrolling."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise

import pytest
from deltatune.report import page
from deltatune.report.figures import embed
from deltatune.report.words import first_screen, verdict
from made_reports import TEMPLATE, sweep

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

WORDS = "Tuning (mean of 3 seeds) helped on 3 of 3 tasks: instructions (ROUGE-L F1 0.123 to 0.554),"
MEASURE = """<script>addEventListener("load", () => {
  const bottom = (one) => Math.round(one.getBoundingClientRect().bottom);
  const texts = [...document.querySelectorAll(".overall p")];
  parent.postMessage(JSON.stringify({
    viewport: [innerWidth, innerHeight],
    words: Math.max(...texts.map(bottom)),
    matrix: bottom(document.querySelector(".overview table")),
    navigation: bottom(document.querySelector("nav")),
    width: document.documentElement.scrollWidth,
  }), "*");
});</script>"""
FRAME = """<title></title>
<script>addEventListener("message", (one) => {{ document.title = one.data; }});</script>
<iframe src="{0}.html" width="{1}" height="{2}" style="border:0"></iframe>"""
"""A window has a least width, a frame in it has none."""


def of_90_words() -> verdict.Summary:
    """As many as there can be: half of them in the sentence that is set largest."""
    words = (WORDS.split() * 6)[: first_screen.MOST_WORDS]
    ends = (0, first_screen.MOST_WORDS_OF_OWN, 60, 75, 83, first_screen.MOST_WORDS)
    sentences = [" ".join(words[a:b]) for a, b in pairwise(ends)]
    return verdict.Summary(sentences, [])


@pytest.fixture(scope="module")
def measure(tmp_path_factory) -> Callable[[int, tuple[int, int]], dict]:
    """(experiments, size of the window) -> where things end, in CSS pixels."""
    folder = tmp_path_factory.mktemp("first-screen")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embed, "to_svg", lambda *_: "<svg></svg>")
        patch.setattr(verdict, "summarize", lambda _: of_90_words())
        for experiments in (3, 24):
            html = page.render(sweep(experiments, count=6), TEMPLATE)
            html = re.sub(r"<meta http-equiv[^>]*>", "", html)
            html = html.replace("</body>", f"{MEASURE}</body>")
            (folder / f"{experiments}.html").write_text(html, encoding="utf-8")

    def measured(experiments: int, size: tuple[int, int]) -> dict:
        frame = folder / "frame.html"
        frame.write_text(FRAME.format(experiments, *size), encoding="utf-8")
        done = subprocess.run(
            [
                *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=3000"),
                *("--window-size=1400,1000", "--dump-dom", frame.as_uri()),
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        title = re.search(r"<title>(\{.*?\})</title>", done.stdout)
        assert title, done.stderr[-2000:]
        return json.loads(title[1])

    return measured


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
@pytest.mark.parametrize("experiments", [3, 24])
def test_verdict_matrix_and_navigation_are_on_the_first_screen(measure, experiments, size):
    ends_at = measure(experiments, size)
    assert ends_at["viewport"][0] == size[0], ends_at
    assert ends_at["navigation"] < 60, ends_at
    assert max(ends_at["words"], ends_at["matrix"]) <= size[1], ends_at
    assert ends_at["width"] == size[0], "wider than the screen"

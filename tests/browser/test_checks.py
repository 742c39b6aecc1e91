"""What looks for faults in a page finds those that were put there, and nothing in a good page."""

from __future__ import annotations

from pathlib import Path

import pytest

STYLE = "body { margin: 1rem; font: 16px sans-serif } svg { display: block }"
GOOD = """
<h1>A page</h1><p>Some words in <b>several</b> parts, <a href="#x">with a link</a>.</p>
<div style="overflow-x: auto; width: 8rem"><table><tr><td>a long row that scrolls</td></tr></table>
</div>
<p style="overflow: hidden; text-overflow: ellipsis; white-space: nowrap; width: 6rem">
A line that ends in three dots.</p>
<a href="#x" style="position: absolute; left: -99rem">Skip</a>
<span style="position: absolute; width: 1px; height: 1px; overflow: hidden">only spoken</span>
<button>Press</button>
<svg width="200" height="60"><rect width="90" height="60" fill="#004"/>
<text x="10" y="20" fill="#fff">one</text><text x="110" y="20">two</text>
<text x="20" y="50" transform="rotate(-8 20 50)" fill="#fff">three</text></svg>
"""
LAYOUT = {
    "overlap": '<p>First words</p><p style="margin-top: -2rem">other words</p>',
    "overlap of": '<p>First words</p><button style="position: relative; top: -2rem">B</button>',
    "clipped": '<p style="overflow: hidden; width: 3rem; white-space: nowrap">Too long here</p>',
    "clipped: “A line": '<p style="overflow: hidden; height: 1rem; width: 3rem">A line more</p>',
    "outside its picture": '<svg width="50" height="20"><text x="30" y="15">axis</text></svg>',
    "“one” (svg > g > text) and “two”": '<svg width="90" height="20"><g><text x="9" y="15">one'
    '</text><text x="20" y="15">two</text></g></svg>',
    "the page is": '<p style="white-space: nowrap">' + "word " * 400 + "</p>",
    "beyond the screen": '<p style="position: absolute; left: -1rem">Words that begin outside</p>',
}
PALE = {
    "on rgb(255, 255, 255)": '<text x="5" y="15" fill="#aaa">pale</text>',
    "on rgb(0, 0, 64)": '<rect width="90" height="20" fill="#000040"/><text y="15">dark</text>',
    "“thin”": '<g opacity="0.4"><text x="5" y="15">thin</text></g>',
}


def write(folder: Path, body: str) -> Path:
    path = folder / "page.html"
    head = f'<!doctype html><html lang="en"><title>t</title><style>{STYLE}</style>'
    path.write_text(f"{head}<body>{body}</body></html>", encoding="utf-8")
    return path


def test_a_good_page_has_no_faults(browser, tmp_path):
    with browser.open(write(tmp_path, GOOD)) as page:
        assert page.evaluate("layout.js") == page.evaluate("contrast.js") == []


@pytest.mark.parametrize("fault", LAYOUT)
def test_a_fault_of_layout_is_found(chromium, tmp_path, fault):
    with chromium.open(write(tmp_path, GOOD + LAYOUT[fault])) as page:
        faults = page.evaluate("layout.js")
    assert any(fault in one for one in faults), faults


def test_what_scrolls_on_a_screen_is_clipped_on_paper(chromium, tmp_path):
    body = '<div style="overflow: auto; width: 5rem; white-space: nowrap">a long row of words</div>'
    for paper in (False, True):
        with chromium.open(write(tmp_path, body), print=paper) as page:
            assert bool(page.evaluate("layout.js")) == paper


@pytest.mark.parametrize("fault", PALE)
def test_a_pale_text_in_a_drawing_is_found(chromium, tmp_path, fault):
    body = f'<svg width="90" height="20">{PALE[fault]}</svg>'
    with chromium.open(write(tmp_path, body)) as page:
        (line,) = page.evaluate("contrast.js")
    assert fault in line


def test_errors_and_requests_are_seen(browser, tmp_path, closed):
    image = f"{closed}/absent.png"
    body = f'<img src="{image}" alt="x"><script>console.error("wrong"); missing()</script>'
    with browser.open(write(tmp_path, body)) as page:
        problems, requests = " ".join(page.problems()), page.requests()
    assert "wrong" in problems and "missing" in problems
    assert requests == [image]

"""What a reader does with the page, in Chromium and Firefox."""

from __future__ import annotations

import hostile_texts
from deltatune.report.text import clean

READY = "document.getElementById('browser').dataset.ready ?? ''"
OUTPUT = "#browser output"


def test_the_keyboard_begins_with_a_link_past_the_navigation(browser, report):
    with browser.open(report("partial")) as page:
        page.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.press("Enter")
        target = page.evaluate("location.hash")
        assert target and page.count(f"main {target}, main{target}")


def test_the_theme_is_kept(browser, report):
    theme = "document.documentElement.dataset.theme ?? 'auto'"
    paper = "getComputedStyle(document.body).backgroundColor"
    with browser.open(report("partial")) as page:
        light = page.evaluate(paper)
        while page.evaluate(theme) != "dark":
            page.click("#theme")
        dark = page.evaluate(paper)
        page.reload()
        assert page.evaluate(theme) == "dark" and page.evaluate(paper) == dark != light
        assert page.axe() == page.problems() == []


def test_a_table_sorts_both_ways(browser, report):
    cells = "[...document.querySelectorAll('#headline tbody td.number')]"
    column = f"() => {cells}.map((cell) => cell.innerText)"
    with browser.open(report("partial")) as page:
        orders = [page.evaluate(column)]
        for _ in range(2):
            page.click("#headline thead th.number button")
            orders.append(page.evaluate(column))
    assert orders[1] != orders[2] and sorted(orders[1]) == sorted(orders[2]) == sorted(orders[0])


def test_a_search_stands_in_the_address_and_survives_a_reload(browser, report):
    with browser.open(report("partial")) as page:
        page.wait(READY)
        everything = page.text(OUTPUT)
        page.type("#browser [name=q]", "number 7")
        page.wait(
            "(all) => document.querySelector('#browser output').innerText !== all", everything
        )
        page.wait("location.hash.includes('number')")
        fewer = page.text(OUTPUT)
        page.reload()
        page.wait(READY)
        assert page.text(OUTPUT) == fewer
        # Not by its place on the screen, which may still be moving after the reload.
        page.evaluate("() => document.querySelector('#browser [name=clear]').click()")
        page.wait(
            "(all) => document.querySelector('#browser output').innerText === all", everything
        )
        assert page.problems() == page.requests() == []


def test_a_table_is_downloaded(browser, report):
    with browser.open(report("partial")) as page:
        code = "() => document.querySelector('#downloads a[download]').click()"
        file = browser.downloaded(lambda: page.evaluate(code))
    assert file.name == "comparison.csv" and file.read_text() == "experiment,task\n"


def test_without_scripts_all_sections_can_be_read(chromium, report):
    with chromium.open(report("partial"), js=False) as page:
        text = page.text("main")
        assert page.problems() == []
    for words in ("Name the color", "ROUGE-L", "Perplexity"):
        assert words in text


def test_hostile_texts_do_not_act_and_are_shown(browser, report):
    with browser.open(report("hostile")) as page:
        page.wait(READY)
        assert page.evaluate("window.acted ?? null") is None
        assert page.problems() == page.requests() == []
        shown = page.evaluate("document.documentElement.textContent")
        assert (
            page.evaluate("document.querySelectorAll('main :is(script[src], img, iframe)').length")
            == 0
        )
    # Own prompts are on the page whole, but for what is folded and cut.
    missing = [text for text in hostile_texts.TEXTS if clean(text)[:500].strip() not in shown]
    assert missing == []

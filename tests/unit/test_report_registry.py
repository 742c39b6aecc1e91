"""Sections: each a module with a template of its name, drawn in the order of the registry."""

from __future__ import annotations

import re
from pathlib import Path

from conftest import ROOT
from deltatune.report import page, page_files, pairs
from deltatune.report.data import ReportData
from deltatune.report.figures import embed
from deltatune.report.sections import registry
from made_reports import TEMPLATE, partial, sweep
from test_report import Reader

REPORT = ROOT / "report"


def test_each_section_has_a_template_and_a_module_of_its_name():
    names = [section.NAME for section in registry.SECTIONS]
    assert len(set(names)) == len(names) > 8
    templates = {file.name.removesuffix(".html.j2") for file in REPORT.glob("sections/*")}
    modules = {file.stem for file in Path(registry.__file__).parent.glob("[!_]*.py")}
    assert templates == set(names) == modules - {"registry"}


def test_a_section_without_data_is_left_out():
    """What was compared, and what limits that, is always said."""
    views = registry.views(ReportData([], {}))
    assert [one["name"] for one in views] == ["results", "limits"]


def test_a_part_of_a_run_is_drawn_by_the_same_sections_and_what_is_missing_is_named_first():
    data = partial()
    names = [section.NAME for section in registry.SECTIONS]
    views = registry.views(data)
    assert views[0]["name"] == "missing"
    assert [one["name"] for one in views] == [name for name in names if name in {
        one["name"] for one in views}]  # fmt: skip
    text = Reader(page.render(data, TEMPLATE)).text
    assert all(text.count(reason) == 1 for reason in data.missing_results)


def test_every_file_of_the_page_is_one_of_its_inputs():
    """Template parts, styles and scripts: an edit of one renders the page again."""
    files = page_files.page_files(REPORT)
    assert all((REPORT / name).is_file() for name in files)
    # Params name them without their folders.
    assert len({Path(name).name for name in files}) == len(files)
    others = {"crate.html.j2", "preview.html.j2"}
    for suffix in (".j2", ".css", ".js"):
        there = {path.relative_to(REPORT).as_posix() for path in REPORT.rglob(f"*{suffix}")}
        assert there - others <= set(files)


def test_a_script_cannot_end_its_element_and_a_style_sheet_asks_for_nothing():
    for name in page_files.SCRIPTS:
        text = (REPORT / name).read_text(encoding="utf-8").lower()
        assert "</script" not in text and "<!--" not in text
    for name in page_files.STYLES:
        text = (REPORT / name).read_text(encoding="utf-8").lower()
        assert "</style" not in text and "@import" not in text and "url(" not in text


def test_what_is_of_one_of_many_experiments_is_folded(monkeypatch):
    """The page of a sweep was 52,463 px tall; folded, it is of a length that a reader scrolls."""
    monkeypatch.setattr(embed, "to_svg", lambda *_: "<svg></svg>")
    html = page.render(sweep(pairs.MANY, count=6), TEMPLATE)
    sections = dict(
        re.findall(r'<section id="(\w+)"(.*?)(?=<section id=|</main>)', html, re.DOTALL)
    )
    for name in ("tasks", "losses"):
        assert sections[name].count('<details class="fold">') == pairs.MANY
    outside = sections["results"] + sections["behavior"]
    outside = re.sub(r"<details.*?</details>", "", outside, flags=re.DOTALL)
    assert outside.count("<tr") < 2 * pairs.MANY
    few = page.render(sweep(3, count=6), TEMPLATE)
    assert '<details class="fold">' not in few


def test_no_style_sheet_sets_a_class_that_another_sets_at_its_top():
    """A rule of one class alone would reach what another section has under the same name."""
    owners: dict[str, list[str]] = {}
    for name in page_files.STYLES:
        text = re.sub(
            r"/\*.*?\*/", "", (REPORT / name).read_text(encoding="utf-8"), flags=re.DOTALL
        )
        for selector in set(re.findall(r"^\.[\w-]+(?= \{)", text, re.MULTILINE)):
            owners.setdefault(selector, []).append(name)
    assert {one: names for one, names in owners.items() if len(names) > 1} == {}

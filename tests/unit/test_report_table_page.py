"""Tables as pages, which Snakemake's report shows."""

from pathlib import Path

from deltatune.report import table_page
from deltatune.report.page_files import TABLE_STYLES

STYLES = [Path(__file__).parents[2] / "report" / name for name in TABLE_STYLES]
HOSTILE = "<script>alert(1)</script>"


def test_a_table_is_a_page_that_needs_nothing_and_runs_nothing(tmp_path):
    csv = tmp_path / "some.csv"
    csv.write_text(f'name,delta,n\n"{HOSTILE}",0.123456,1200\nb,,3\n', encoding="utf-8")
    html = table_page.render(csv, f"some {HOSTILE}", STYLES)
    assert HOSTILE not in html and "&lt;script&gt;" in html
    assert "0.1235" in html and "1,200" in html
    assert "All rows of" in html and "http-equiv" in html
    assert "src=" not in html and "<link" not in html


def test_of_a_long_table_the_first_rows_are_shown_and_how_many(tmp_path, monkeypatch):
    monkeypatch.setattr(table_page, "MOST_ROWS", 2)
    csv = tmp_path / "long.csv"
    csv.write_text("a\n" + "x\n" * 3, encoding="utf-8")
    assert "The first 2 rows" in table_page.render(csv, "long", STYLES)
    csv.write_text("a\n" + "x\n" * 2, encoding="utf-8")
    assert "All rows" in table_page.render(csv, "long", STYLES)


def test_a_cell_of_a_megabyte_is_cut(tmp_path):
    csv = tmp_path / "huge.csv"
    csv.write_text(f"id,text\n{'a' * 10**6},{'b' * 10**6}\n", encoding="utf-8")
    html = table_page.render(csv, "huge", STYLES)
    assert len(html) < 40_000 and "(1,000,000 characters)" in html


def test_a_table_without_rows_says_so(tmp_path):
    csv = tmp_path / "none.csv"
    csv.write_text("a,b\n", encoding="utf-8")
    assert "It has none." in table_page.render(csv, "none", STYLES)

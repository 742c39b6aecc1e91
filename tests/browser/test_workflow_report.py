"""What `snakemake --report` makes, as one page and as an archive: each item is found by clicks,
has a name and a caption, and is shown."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml
from browsers import Page
from conftest import run_snakemake
from deltatune.workflow.flow import Flow

#: A warning of the framework's own page about how it was built.
FOREIGN = "cdn.tailwindcss.com should not be used in production"
CAPTIONS = {
    "Report: The whole page: what tuning changed": "Whether tuning helped, by how much",
    "Comparison: Tuned against base, on own tasks": "comparison.csv on the task that it was tuned",
    "Comparison: Tuned against base, on other tasks": "cross_task.csv on other tasks",
    "Comparison: Tuned against plain baselines": "Tuned systems against plain baselines",
    "Comparison: Gains and harms with their intervals": "Each row is an experiment tested on a",
    "Comparison: Differences example by example": "alone, of {of} on its own task",
    "Comparison: Confusion matrices": "by the base and by {of}. Rows are true labels",
    "Data: Records left out": "Records that were left out when the records of the task were split",
    "Training: Training and validation loss": "Loss of {of} in nats for each supervised token",
}
"""Category and title of each item -> words of its caption; {of}: the subcategory."""

GO = """async (names) => {
  for (const name of names) {
    const links = [...document.querySelectorAll("nav li a")];
    links.find((one) => one.innerText.trim() === name)?.click();
    await new Promise((done) => setTimeout(done));
  }
  return [...document.querySelectorAll("nav tbody tr")].map((row) => row.innerText.trim());
}"""
"""Follow links of the navigation, where there are such -> titles of what is listed then."""
PRESS = """([row, button]) =>
  document.querySelectorAll("nav tbody tr")[row].querySelectorAll("a")[button].click()"""
VIEW, EXPLAIN = 0, 1


@pytest.fixture(scope="module")
def reports(small_run, tmp_path_factory) -> dict[str, Path]:
    """The page of each form; that of the archive with its files beside it."""
    folder = tmp_path_factory.mktemp("reports")
    for name in ("page.html", "archive.zip"):
        done = run_snakemake(small_run, "--report", str(folder / name), warm=True)
        assert done.returncode == 0, done.stdout[-3000:]
    with zipfile.ZipFile(folder / "archive.zip") as archive:
        archive.extractall(folder)
    return {"page": folder / "page.html", "archive": folder / "archive/report.html"}


def test_code_is_shown_and_no_table_is_only_downloaded(reports):
    # The code of a rule is shown where the rule itself names its script.
    page = reports["page"].read_text(encoding="utf-8")
    for sentence in (
        "Generate the answers of a system",
        "Log-likelihood of every label",
        "Log-likelihood of the text",
        "Answers of the plain baselines",
        "Labels by the plain baselines",
    ):
        assert sentence in page
    files = (reports["archive"].parent / "data/raw").glob("*/*")
    assert {one.suffix for one in files} == {".html", ".svg"}


@pytest.mark.parametrize("form", ["page", "archive"])
def test_each_item_is_found_named_explained_and_shown(chromium, reports, small_run, form):
    config = yaml.safe_load((small_run / "config.yaml").read_text(encoding="utf-8"))
    tables = {one.page: one.csv for one in Flow(config).table_pages}
    seen = {}
    with chromium.open(reports[form]) as page:
        for category, subcategories in page.wait("categories").items():
            for subcategory, paths in subcategories.items():
                titles = page.evaluate(GO, ["Results", category, subcategory])
                for row, title in enumerate(titles):
                    page.evaluate(PRESS, [row, VIEW])
                    path = page.wait("app.state.resultPath")
                    assert path in paths
                    check_shown(page, small_run, path, tables.get(path))
                    page.evaluate(PRESS, [row, EXPLAIN])
                    caption = page.wait("document.querySelector('nav .prose')?.innerText")
                    kind = f"{category}: {title}"
                    words = CAPTIONS[kind].format(of=subcategory)
                    assert words in " ".join(caption.split()), kind
                    seen[path] = kind
                    page.evaluate(GO, [subcategory])
        assert {*seen} == {*page.evaluate("Object.keys(results)")} > {*tables}
        assert [one for one in page.problems() if FOREIGN not in one] == []
        assert [one for one in page.requests() if not one.startswith("file:")] == []
    assert {*seen.values()} == {*CAPTIONS}


def check_shown(page: Page, run: Path, path: str, csv: str | None) -> None:
    """A picture is drawn, a page has its heading, and a table the rows of its file."""
    if path.endswith(".svg"):
        # In one page a picture is an address of data, which names its file.
        drawn = """(end) => {
          const picture = document.querySelector("#app .p-3 > img");
          return picture?.src.includes(end) && picture.naturalWidth;
        }"""
        page.wait(drawn, Path(path).name)
        return
    heading = csv or "What the tuning changed"
    shown = "(text) => document.querySelector('h1')?.innerText === text"
    page.wait(shown, heading, framed=True)
    if csv:
        rows = page.evaluate("document.querySelectorAll('tbody tr').length", framed=True)
        assert rows == len(pd.read_csv(run / csv)), csv

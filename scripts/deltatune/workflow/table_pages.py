"""The tables that Snakemake's report shows, each as a page that render_tables writes."""

from __future__ import annotations

from dataclasses import dataclass

from deltatune.core.paths import RESULTS
from deltatune.workflow.paths import Paths
from deltatune.workflow.selection import Selection

TITLES = {
    "comparison": "Tuned against base, on own tasks",
    "cross_task": "Tuned against base, on other tasks",
    "baselines": "Tuned against plain baselines",
}


@dataclass(frozen=True)
class TablePage:
    page: str
    csv: str
    caption: str
    """report/CAPTION.rst."""
    category: str
    subcategory: str
    title: str


def table_pages(selection: Selection, paths: Paths) -> list[TablePage]:
    """Of comparisons, of records left out, and of answers to one's own prompts."""
    folder = f"{RESULTS}/tables"
    pages = []
    for csv in paths.tables():
        name = csv.removeprefix(f"{RESULTS}/").removesuffix(".csv")
        page = f"{folder}/{name}.html"
        caption = "baselines" if name == "baselines" else "comparison"
        pages.append(TablePage(page, csv, caption, "Comparison", "All experiments", TITLES[name]))
    for task in selection.tasks:
        csv = f"{RESULTS}/tasks/{task}/excluded.csv"
        page = f"{folder}/excluded/{task}.html"
        pages.append(TablePage(page, csv, "excluded", "Data", task, "Records left out"))
    answers = [
        csv for name in selection.experiments for csv in paths.own_answers(name, "answers.csv")
    ]
    for csv in dict.fromkeys(answers):
        name = csv.removeprefix(f"{RESULTS}/prompts/").removesuffix("/answers.csv")
        task, _, system = name.partition("/")
        page = f"{folder}/prompts/{name}.html"
        pages.append(TablePage(page, csv, "prompts", "Own prompts", task, f"Answers of {system}"))
    return pages

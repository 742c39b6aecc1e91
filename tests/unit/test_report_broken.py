"""The page of numbers and names that nobody wished for: it is drawn, says what is not known, and
lets no name break a table."""

import csv
import io
import math
import re
from urllib.parse import unquote

import made_reports
import pytest
from deltatune.core import table_text
from deltatune.report import headline, island, numbers, page
from deltatune.report.data import ReportData
from deltatune.report.sections import registry
from deltatune.report.words import verdict
from test_compare_fact import a_fact
from test_report import TEMPLATE, Reader

NAMES = [
    "x" * 200, "\u0645\u0647\u0645\u0629", "\U0001f984 run", "a|b", "a\nb", "=1+1", "-5", "<b>",
    "a&amp;b", "\u202egnp", "\u200b", "",
]  # fmt: skip
VALUES = [math.nan, math.inf, -math.inf, 1e300, -1e300, 5e-324, 0.0, None]


def of(**changes) -> ReportData:
    """One experiment with one fact."""
    fact = a_fact(**changes)
    own = {"task": fact.task, "model": fact.model, "main_metric": fact.metric,
           "seeds": list(range(fact.seeds))}  # fmt: skip
    return ReportData([fact], {fact.experiment: own})


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("seeds", [1, 3])
def test_any_number_can_be_shown(value, seeds):
    names = ("base", "tuned", "delta", "seed_sd", "ci_low", "ci_high", "adapters_low",
             "adapters_high", "item_se")  # fmt: skip
    text = Reader(page.render(of(**dict.fromkeys(names, value), seeds=seeds), TEMPLATE)).text
    assert not {"nan", "inf", "None", "np.float64"} & set(re.findall(r"[\w.]+", text))
    assert max(map(len, text.split())) < 60, "no number of hundreds of digits"
    if not numbers.finite(value):
        assert "? unknown" in text


def test_nothing_is_finished():
    data = ReportData([], {}, missing_results=["Experiment x is not shown: it failed."])
    text = Reader(page.render(data, TEMPLATE)).text
    for one in (*data.missing_results, "No experiment of this run", "0 finished experiments"):
        assert text.count(one) == 1, one
    assert [one["name"] for one in registry.views(data)] == ["missing", "results", "limits"]


def test_what_has_no_bound_of_its_own_is_cut():
    """Labels, ids, messages and settings of a megabyte each."""
    data = made_reports.huge()
    html = page.render(data, TEMPLATE)
    assert len(html.encode()) < 1_500_000
    reader = Reader(html)
    assert len(reader.tags) < 5000
    assert max(map(len, reader.words)) < 5000
    attributes = [value or "" for _, one in reader.tags for name, value in one.items()
                  if name not in ("href", "d", "content")]  # fmt: skip
    assert max(map(len, attributes)) < 2500
    assert "(1,000,000 characters)" in reader.text
    assert len(verdict.summarize(data).text) < 2500
    # Ids that differ in their last character alone stay apart, and links find them.
    packed = next(text for one, text in reader.scripts if one.get("id") == "examples-data")
    tables = island.unpack(packed)
    assert all(len(set(table["id"])) == len(table["id"]) == 6 for table in tables)
    keys = {f"example-{table['task']}-{one}" for table in tables for one in table["id"]}
    shown = {one["id"] for _, one in reader.tags if one.get("id", "").startswith("example-")}
    assert len(shown) == 12 and shown <= keys


@pytest.mark.parametrize("name", NAMES)
def test_any_name_stays_in_its_cell(name):
    data = of(experiment=name, task=name, model=name)
    data.metrics = {"accuracy": {"title": name}}
    markup = page.render(data, TEMPLATE)
    files = {
        attributes["download"]: unquote(attributes["href"].partition(",")[2])
        for _, attributes in Reader(markup).tags
        if attributes.get("download", "").startswith("headline")
    }
    one = headline.headline(data)
    assert files["headline.csv"] == table_text.to_csv(one)
    rows = list(csv.reader(io.StringIO(files["headline.csv"], newline="")))
    assert [len(row) for row in rows] == [len(one.columns) + 1] * 2
    assert not any(cell.startswith(("=", "-", "+", "@")) for row in rows for cell in row[:2])
    lines = files["headline.md"].splitlines()
    assert len(lines) == 4, "titles, the rule, a group and its row"
    bars = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
    assert bars == {len(one.columns) + 1}


def test_a_part_of_a_run_and_a_sweep_have_the_same_tables():
    for data in (made_reports.partial(), made_reports.sweep(2, count=8, seeds=(1,))):
        html = page.render(data, TEMPLATE)
        ids = re.findall(r'<table class="table" id="([^"]+)"', html)
        assert len(ids) == len(set(ids)) and {"headline", "stages", "jobs"} <= set(ids)

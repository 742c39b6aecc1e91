"""The matrix of experiments by tasks: harm is in it, each cell says which way, how far, and why."""

from __future__ import annotations

import dataclasses
import re

import pytest
from deltatune.report import page, pairs
from deltatune.report.data import ReportData
from deltatune.report.sections import matrix
from made_reports import TEMPLATE, sweep, wide
from test_report import Reader, experiment, row


@pytest.fixture(scope="module")
def data() -> ReportData:
    """Two experiments by two tasks: better on the own, worse elsewhere, and one not evaluated."""
    better, harm = row(p_value=0.01, p_holm=0.01, no_p="", seeds=3), {"base": 0.6, "tuned": 0.2}
    worse = row(task="news", metric="accuracy", **harm, ci_low=-0.5, ci_high=-0.3, seeds=3,
                p_value=0.001, p_holm=0.002, no_p="")  # fmt: skip
    own = row("news-r8", "news", "accuracy", base=0.6, tuned=0.61, ci_low=-0.1, ci_high=0.1,
              seeds=3, p_value=0.5, p_holm=0.5, no_p="")  # fmt: skip
    return ReportData(
        [better, own, worse],
        {"ex": experiment(), "news-r8": experiment("news", "classify", "accuracy")},
        left_out={("news-r8", "instructions"): "it has no <prompt>"},
    )


def cells(data: ReportData) -> dict:
    view = matrix.view(data)
    names = [column["name"] for column in view["columns"]]
    return {
        (line["name"], task): cell
        for line in view["rows"]
        for task, cell in zip(names, line["cells"], strict=True)
    }


def test_harm_on_another_task_is_seen(data):
    harm = cells(data)["ex", "news"]
    assert (harm["side"], harm["sign"], harm["left"], harm["own"]) == ("worse", "▼", True, False)
    assert (harm["change"], harm["figures"]) == ("−0.40", "0.60 to 0.20")
    view = matrix.view(data)
    assert view["tally"] == "3 pairs: 1 better, 1 worse, 1 not shown"
    assert view["not_shown"] in page.render(data, TEMPLATE) and "from chance" in view["not_shown"]


def test_the_own_task_is_marked_and_the_bar_has_the_sign_and_size_of_the_effect(data):
    shown = cells(data)
    assert [pair for pair, cell in shown.items() if cell["own"]] == [
        ("ex", "instructions"), ("news-r8", "news")
    ]  # fmt: skip
    own, undecided = shown["ex", "instructions"], shown["news-r8", "news"]
    assert (own["side"], own["left"]) == ("better", False)
    assert (undecided["side"], undecided["sign"]) == ("undecided", "○")
    assert 50 >= float(own["size"]) > float(undecided["size"]) > 0


def test_a_pair_that_is_not_evaluated_says_why(data):
    cell = cells(data)["news-r8", "instructions"]
    assert (cell["side"], cell["reason"]) == ("none", "it has no <prompt>")
    assert matrix.view(data)["legend"] == ["1 pair not evaluated: it has no <prompt>."]
    html = page.render(data, TEMPLATE)
    assert Reader(html).text.count("not evaluated") >= 3
    assert "<prompt>" not in html


@pytest.mark.parametrize(
    ("changed", "pair", "reason"),
    [
        ({}, ("ex", "other"), "cross_task does not name it"),
        ({"missing_results": ["x"]}, ("ex", "other"), "the run is not finished"),
        ({"facts": []}, ("ex", "instructions"), "its figures are not there"),
    ],
)
def test_a_reason_where_the_settings_have_none(data, changed, pair, reason):
    assert pairs.why_not(dataclasses.replace(data, **changed), pair) == reason


def test_lower_perplexity_goes_to_the_right():
    lower = row("p", "novel", "perplexity", higher_is_better=False, base=20.0, tuned=10.0,
                ci_low=-12.0, ci_high=-8.0)  # fmt: skip
    view = cells(ReportData([lower], {"p": experiment("novel", "prose", "perplexity")}))
    cell = view["p", "novel"]
    assert (cell["left"], cell["change"]) == (False, "−50%")


def test_every_cell_leads_to_what_the_page_says_of_its_pair(data):
    html = page.render(data, TEMPLATE)
    links = set(re.findall(r'href="#(pair\d+-\d+)"', html))
    ids = re.findall(r' id="(pair\d+-\d+)"', html)
    assert links == set(ids) == set(pairs.anchors(data).values())
    assert len(ids) == len(set(ids)) == 3


def test_rows_of_a_sweep_have_labels_that_differ():
    view = matrix.view(sweep(24, count=6))
    assert len({line["label"] for line in view["rows"]}) == 24
    assert len({line["short"] for line in view["rows"]}) == 24
    assert max(len(line["short"]) for line in view["rows"]) <= matrix.SMALL
    assert view["many"]


def test_of_many_tasks_the_columns_are_narrow_and_told_apart():
    view = matrix.view(wide())
    short = [column["short"] for column in view["columns"]]
    assert view["wide"]
    assert len(set(short)) == 11
    assert max(map(len, short)) <= matrix.UPRIGHT
    assert not matrix.view(sweep(3))["wide"]

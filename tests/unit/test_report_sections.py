"""Sections of the page whose numbers say what they count."""

import numpy as np
import pandas as pd
import pytest
from deltatune.report import examples, markup, table_html
from deltatune.report.data import COSTS, ReportData
from deltatune.report.figures import embed, forest, losses
from deltatune.report.sections import costs
from deltatune.report.sections import losses as losses_section
from deltatune.report.words import phrases
from test_compare_fact import a_fact
from test_core_table import texts

JOBS = pd.DataFrame(
    [
        *(("train_adapter", f"ex, seed {n}", 60.0, 1.5, 100.0 * n) for n in (1, 2)),
        ("score_labels", "base", 5.0, 0.5, np.nan),
        ("score_labels", "seed 1", np.nan, 0.4, np.nan),
    ],
    columns=COSTS,
)


def test_the_total_says_of_how_many_jobs_it_is():
    view = costs.view(ReportData([], {}, costs=JOBS))
    stages = view["stages"]
    assert texts(stages) == [
        ["train_adapter", "2 jobs", "2 min 00 s", "1.50", "150"],
        ["score_labels", "2 jobs", "5.0 s", "0.50", "–"],
    ]
    foot = [stages.foot.cell(column).text for column in stages.columns]
    assert foot == ["All", "4 jobs", "2 min 05 s", "1.50", "–"]
    assert len(texts(view["jobs"])) == 4
    assert 'style="width:4.2%"' in table_html.to_html(stages), "5 of 120 seconds"
    assert view["note"].startswith("The total is the time of 4 jobs, all of the run from its data")
    assert "1 job without a known time" in view["note"]
    assert "Tokens per second of a stage are the mean over its jobs." in view["note"]


def test_settings_that_a_sentence_names_are_code_and_nothing_else_is_markup():
    text = markup.code("cut at `max_new_tokens`, of <b>a</b>\u202e & `<i>`")
    assert text == (
        "cut at <code>max_new_tokens</code>, of &lt;b&gt;a&lt;/b&gt;\ufffd &amp; "
        "<code>&lt;i&gt;</code>"
    )


def test_a_total_of_known_times_has_no_remark_on_unknown_ones():
    note = costs.view(ReportData([], {}, costs=JOBS[JOBS["stage"] == "train_adapter"]))["note"]
    assert "2 jobs" in note and "without" not in note


def test_a_mean_of_losses_is_of_all_seeds_or_none():
    rows = pd.DataFrame(
        {"seed": [1, 1, 2, 2], "step": [0, 5, 0, 5], "split": "validation", "epoch": 0.1,
         "loss": [3.0, 1.0, 4.0, np.nan]}
    )  # fmt: skip
    assert losses.mean_over_seeds(rows, 2).to_dict() == {0: 3.5}
    picture = embed.to_svg(losses.plot(rows))
    assert "validation 3.500" in picture and "validation 1.000" not in picture
    final = pd.DataFrame(
        {"seed": [1, 2], "split": "validation", "base": [3.0, 4.0], "tuned": [1.0, np.nan]}
    )
    mean = losses_section.final_rows(final)[-1]
    assert mean["of"].text == "mean over seeds 1, 2"
    assert (mean["base"].text, mean["tuned"].text) == ("3.500", "–")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "200 examples"),
        ({"clusters": 5, "cluster_unit": "chapters"}, "200 examples in 5 chapters"),
        ({"clusters": 1, "cluster_unit": "chapters"}, "200 examples in 1 chapter"),
        ({"n": 5, "clusters": 5, "unit": "windows", "cluster_unit": "documents"},
         "5 windows in 5 documents"),
    ],
)  # fmt: skip
def test_a_figure_says_what_was_scored_and_what_is_independent(changes, expected):
    assert phrases.sample(a_fact(**changes)) == expected


def test_one_adapter_has_one_interval_and_a_recipe_two():
    one = a_fact(seeds=1, estimand="adapters", adapters_low=0.5, adapters_high=0.7)
    thick = f"stroke-width: {forest.THICK}"
    thin = f"stroke-width: {forest.THIN}"
    assert embed.to_svg(forest.plot([a_fact()])).count(thick) == 1
    difference = embed.to_svg(forest.plot([a_fact()])).count(thin) - embed.to_svg(
        forest.plot([one])
    ).count(thin)
    assert difference == 1


def test_differences_of_a_metric_have_the_decimals_of_the_table():
    """Those of the narrowest interval, in the figure of results/figures as on the page."""
    wide = a_fact(experiment="wide", delta=0.16, ci_low=-0.04, ci_high=0.36)
    narrow = a_fact(experiment="narrow", delta=0.013, ci_low=0.012, ci_high=0.014)
    data = ReportData([wide, narrow], {})
    for decimals in (None, data.decimals):
        picture = embed.to_svg(forest.plot([wide, narrow], decimals=decimals))
        assert picture.count("accuracy 0.2500 → ") == 2


def test_sides_of_examples():
    gains = pd.Series([0.5, -0.5, 1e-12, np.nan])
    assert examples.sides(gains).tolist() == ["better", "worse", "unchanged", "unscored"]

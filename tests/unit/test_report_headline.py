"""The headline table: what each cell says, and which columns there are."""

import csv
import dataclasses
import io
import statistics

import made_reports
import pytest
from deltatune.core import table_text
from deltatune.core.table import Table
from deltatune.report import by_task, page, pairs, table_html
from deltatune.report.data import ReportData
from deltatune.report.headline import headline
from deltatune.report.sections import results
from test_core_table import texts
from test_report import HOSTILE, TEMPLATE, Reader, experiment, make_data, row

ONE_SEED = {"seeds": 1, "estimand": "adapters", "seed_sd": None, "no_p": ""}


def cells(one: Table) -> list[dict[str, str]]:
    keys = [column.key for column in one.columns]
    return [dict(zip(keys, row, strict=True)) for row in texts(one)]


def test_cells():
    data = make_data()
    data.facts = [data.facts[place] for place in (1, 0, 2, 3)]
    one = headline(data)
    main, bleu, perplexity, _, against = cells(one)
    assert main == {
        "metric": "ROUGE-L\u00a0★", "outcome": "▲ better", "base": "0.12", "tuned": "0.61",
        "delta": "+0.49", "recipe": "0.42 to 0.56", "adapters": "0.45 to 0.53",
        "adapters_p": "≤ 0.0003", "seed_sd": "0.010",
    }  # fmt: skip
    assert bleu["metric"] == "bleu\u00a0†"
    assert perplexity["metric"] == "perplexity\u00a0↓\u00a0★"
    assert perplexity["delta"] == "−186 (−23%)"
    assert (against["metric"], against["seed_sd"]) == ("Accuracy against TF-IDF", "–")
    assert (against["base"], against["tuned"], against["delta"]) == ("0.810", "0.260", "−0.550")
    assert [row["outcome"] for row in cells(one)] == [
        "▲ better", "▲ better", "▲ better", "○ not shown", "▼ worse"
    ]  # fmt: skip
    assert [row.cells["delta"].strong for row in one.rows] == [True, False, True, True, False]
    notes = results.notes(one, data)
    assert "†" in notes and "two seeds" in notes and "against" in notes


@pytest.mark.parametrize(
    ("code", "adapters", "cell"),
    [("two_seeds", 0.01, "0.01"), ("few_clusters two_seeds", None, "under 5: none"),
     ("one_cluster", None, "one text or group: none"), ("not_finite", None, "not finite: none")],
)  # fmt: skip
def test_a_missing_p_value_says_why(code, adapters, cell):
    known = row("other", adapters_p_holm=0.02, adapters_p_is_floor=False)
    missing = row(
        no_p=code, adapters_p=adapters, adapters_p_holm=adapters, adapters_p_is_floor=False
    )
    data = make_data(facts=[missing, known], controls=[])
    assert [one["adapters_p"] for one in cells(headline(data))] == [cell, "0.02"]


def test_with_one_seed_there_is_one_interval_and_no_spread():
    one = row(**ONE_SEED, adapters_p_holm=0.0001, adapters_p_is_floor=True)
    table = headline(ReportData([one], {"ex": experiment(seeds=[1])}))
    assert [column.key for column in table.columns] == [
        "metric", "outcome", "base", "tuned", "delta", "adapters", "adapters_p"
    ]  # fmt: skip
    assert cells(table)[0]["adapters_p"] == "≤ 0.0001"
    assert {column.over for column in table.columns} == {"", "This adapter"}


def test_the_best_of_several_experiments_on_one_task_is_called_optimistic():
    def notes(tasks: dict[str, str]) -> str:
        facts = [row(experiment=name, task=task) for name, task in tasks.items()]
        data = ReportData(facts, {name: experiment(task=task) for name, task in tasks.items()})
        return results.notes(headline(data), data)

    assert "its figure is optimistic" in notes({"r8": "t", "r64": "t"})
    assert "optimistic" not in notes({"r8": "t", "other": "u"})


def test_a_column_without_figures_is_left_out_and_the_notes_say_what_is_missing():
    def parts(**changes) -> tuple[list[str], str]:
        data = ReportData([row(**changes)], {"ex": experiment()})
        one = headline(data)
        return [f"{c.over} {c.title}".strip() for c in one.columns[5:]], results.notes(one, data)

    heads, notes = parts(main=False)
    assert heads == [
        "The recipe 95% interval, rough", "These adapters 95% interval", "These adapters p (Holm)",
        "Seed SD",
    ]  # fmt: skip
    assert "The recipe: over other test records and training seeds" in notes
    heads, notes = parts(no_p="few_clusters two_seeds", adapters_p=None, adapters_p_holm=None)
    assert heads == ["The recipe 95% interval, rough", "These adapters 95% interval", "Seed SD"]
    assert "No row has a p-value: fewer than 5 independent units" in notes
    heads, notes = parts(seeds=3, p_value=0.01, p_holm=0.02, no_p="")
    assert heads[:2] == ["The recipe 95% interval", "The recipe p (Holm)"]


def test_a_single_adapter_beside_a_recipe_says_nothing_of_its_recipe():
    facts = [row(**ONE_SEED), row("other", seeds=3, p_value=0.01, p_holm=0.02, no_p="")]
    single, several = cells(headline(ReportData(facts, {})))
    assert (single["recipe"], single["recipe_p"]) == ("–", "–")
    assert (several["recipe"], several["recipe_p"]) == ("0.42 to 0.56", "0.02")
    assert single["adapters"] == several["adapters"] == "0.45 to 0.53"


@pytest.fixture(scope="module")
def sweep() -> ReportData:
    return made_reports.sweep(pairs.MANY, count=20)


def test_rows_of_many_experiments_stand_by_themselves(sweep):
    one = headline(sweep)
    assert not one.grouped and [column.key for column in one.columns][:2] == ["experiment", "task"]
    assert len(texts(one)) == len(sweep.facts)
    written = list(csv.DictReader(io.StringIO(table_text.to_csv(one))))
    assert [(row["experiment"], row["task"]) for row in written] == [f.pair for f in sweep.facts]
    assert headline(made_reports.sweep(3, count=20)).grouped


def test_of_many_experiments_best_and_worst_stand_in_the_place_of_paragraphs(sweep):
    one = by_task.by_task(sweep)
    names = {row.cells["task"].text: row.cells for row in one.rows}
    assert list(names) == [
        f"{task}{of}" for task in pairs.tasks(sweep) for of in ("", ", tuned on others")
    ]
    facts = [fact for fact in sweep.own_facts() if fact.task == "novel"]
    row, anchors = names["novel"], pairs.anchors(sweep)
    best, worst = (chosen(facts, key=lambda fact: fact.gain) for chosen in (max, min))
    assert row["best"].href == f"#{anchors[best.pair]}" and best.experiment in row["best"].title
    assert row["worst"].href == f"#{anchors[worst.pair]}"
    assert row["best"].text.startswith("−"), "lower perplexity is better"
    assert row["median"].value == statistics.median(fact.delta for fact in facts)
    count = sum(sweep.outcome(fact) == "improved" for fact in facts)
    assert (row["better"].text, row["experiments"].text) == (str(count), str(len(facts)))
    html = page.render(sweep, TEMPLATE)
    assert f'id="{anchors[best.pair]}"' in html
    section = html[html.index('<section id="results"') : html.index('<section id="limits"')]
    assert section.index('id="by-task"') < section.index('id="headline"')
    assert section.index("<summary>36 pairs in words") < section.index('<ul class="verdicts"')


def test_figures_that_are_not_known_are_neither_best_nor_worst():
    nothing = {"base": None, "tuned": None, "delta": None}
    data = ReportData([row(**nothing), row("b", **nothing)], {"ex": experiment()})
    only = by_task.by_task(data)
    assert texts(only)[0][-3:] == ["–"] * 3


def test_the_family_is_named():
    data = make_data()
    own = [dataclasses.replace(one, family=3) for one in data.facts]
    data.facts = own
    assert results.family(data) == (
        "Holm's correction counts 3 main comparisons of comparison.csv; secondary rows are "
        "unadjusted."
    )
    data.facts = [*own[:1], row("news-r8", family=2)]
    assert results.family(data) == (
        "Holm's correction counts 3 main comparisons of comparison.csv; cross-task pairs are a "
        "second family of 2."
    )
    assert results.family(data) in Reader(page.render(data, TEMPLATE)).text


def test_markup_is_escaped():
    data = ReportData(
        [row(experiment=HOSTILE, model=HOSTILE, ci_low=None, seed_sd=None)],
        {HOSTILE: {**experiment(), "model": HOSTILE}},
        metrics={"rouge_l": {"title": HOSTILE}},
    )
    markup = table_html.to_html(headline(data))
    assert "<script" not in markup and "<style" not in markup and "Seed SD" not in markup
    scopes = [one["scope"] for tag, one in Reader(markup).tags if tag == "th"]
    assert scopes.count("row") == 1

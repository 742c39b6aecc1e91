"""Captions of `snakemake --report`: each is true for the params of the rule that it belongs to."""

import pickle
import re
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest
from deltatune.compare.table import COLUMNS
from deltatune.core.errors import UserError
from deltatune.metrics import metadata as metadata_module
from deltatune.metrics.metadata import metadata
from deltatune.metrics.registry import OUTPUTS, available_metrics, load_metric
from deltatune.report import captions
from deltatune.report.figures.settings import (
    ConfusionSettings,
    DifferencesSettings,
    ForestSettings,
    LossesSettings,
)
from deltatune.workflow.flow import Flow
from docutils.core import publish_parts

CAPTIONS = Path(__file__).parents[2] / "report"
RULES = CAPTIONS.parent / "rules"
METRICS = [(outputs, name) for outputs in OUTPUTS for name in available_metrics(outputs)]


def flow(seeds=(1, 2), **split) -> Flow:
    return Flow(
        {
            "seeds": list(seeds),
            "datasets": {name: {"source": "sample", "name": name} for name in ("news", "prose")},
            "models": {"tiny": {"source": "pretrain", "corpus": ["book"]}},
            "tasks": {
                "news": {
                    "kind": "classify",
                    "dataset": "news",
                    "labels": {1: "World", 2: "Sports", 3: "Business", 4: "Sci/Tech"},
                    "split": split,
                },
                "book": {"kind": "prose", "dataset": "prose"},
            },
            "experiments": {
                name: {"model": "tiny", "task": task} for name, task in EXPERIMENTS.items()
            },
        }
    )


EXPERIMENTS = {"news-r8_": "news", "book": "book"}
NEWS, BOOK = (SimpleNamespace(experiment=name) for name in EXPERIMENTS)


def caption(name: str, settings=None, config=None, **wildcards) -> str:
    """The caption as snakemake renders it, as plain text."""
    snakemake = SimpleNamespace(
        wildcards=SimpleNamespace(**wildcards),
        params=SimpleNamespace(settings=settings),
        config=config,
    )
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    source = (CAPTIONS / f"{name}.rst").read_text(encoding="utf-8")
    text = environment.from_string(source).render(snakemake=snakemake)
    html = publish_parts(text, writer="html")["body"]
    assert "system-message" not in html, html
    return " ".join(re.sub(r"<[^>]+>", "", html).split())


@pytest.mark.parametrize(("outputs", "name"), METRICS)
def test_a_metric_says_the_same_of_itself_without_being_imported(outputs, name):
    loaded = load_metric(outputs, name, labels=["a", "b"])
    read = metadata(outputs, name)
    assert (read.title, read.higher_is_better) == (loaded.title, loaded.higher_is_better)


def test_a_metric_without_a_plain_title_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "odd.py"
    file.write_text('class Odd:\n    title = "O" + "dd"\n    higher_is_better = True\n')
    monkeypatch.setattr(metadata_module, "metric_file", lambda *_: file)
    with pytest.raises(UserError, match="must state title as a plain value"):
        metadata("labels", "odd")


@pytest.mark.parametrize("seeds", [(1,), (1, 2), (3, 4, 5)])
def test_each_figure_says_its_seeds_and_how_they_are_aggregated(seeds):
    params = flow(seeds).params
    texts = [
        caption("forest", params.plot_forest(SimpleNamespace())),
        caption(
            "differences",
            params.plot_differences(BOOK),
            experiment="book",
        ),
        caption(
            "confusion",
            params.plot_confusion(NEWS),
            experiment="news-r8_",
        ),
        caption("losses", params.plot_losses(BOOK), experiment="book"),
    ]
    named = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    for text in texts:
        assert named in text
        assert ("mean" in text.replace("mean of these", "").replace("means over windows", "")) == (
            len(seeds) > 1
        ), text


def test_the_forest_says_its_scale_and_its_better_side():
    text = caption("forest", flow().params.plot_forest(SimpleNamespace()))
    assert "Right of zero is better." in text
    assert "standard deviations of the paired differences (Cohen 1988)" in text
    assert "natural logarithm of base / tuned" in text


def test_the_forest_counts_the_tests_of_both_families():
    text = caption("forest", flow().params.plot_forest(SimpleNamespace()))
    assert "Holm-adjusted over 2 tests on own tasks, and over 2 on other tasks." in text
    alone = flow().params.plot_forest(SimpleNamespace()) | {"other_tests": 0}
    assert "over 2 tests on own tasks. " in caption("forest", alone)


@pytest.mark.parametrize(
    ("seeds", "expected", "absent"),
    [
        ((1,), "interval for this adapter", "recipe"),
        ((1, 2), "rough with two seeds", "this adapter:"),
        ((1, 2, 3), "interval for this recipe", "rough"),
    ],
)
def test_the_forest_says_what_its_intervals_are_of(seeds, expected, absent):
    text = caption("forest", flow(seeds).params.plot_forest(SimpleNamespace()))
    assert expected in text
    assert absent not in text
    assert "95% interval" in text and "level 0.05" in text


def test_differences_say_the_direction_of_their_metric():
    params = flow().params
    book = caption(
        "differences",
        params.plot_differences(BOOK),
        experiment="book",
    )
    news = caption("differences", params.plot_differences(NEWS), experiment="news-r8_")
    assert "Perplexity for each of the test windows" in book and "lower is better" in book
    assert "Accuracy for each of the test examples" in news and "higher is better" in news


def test_the_page_has_the_captions_of_the_report():
    """One wording: the page renders the same file with the same params."""
    for name, settings in (
        ("forest", ForestSettings.from_params(flow().params.plot_forest(SimpleNamespace()))),
        ("losses", LossesSettings.from_params(flow().params.plot_losses(BOOK))),
        ("confusion", ConfusionSettings.from_params(flow().params.plot_confusion(NEWS))),
        ("differences", DifferencesSettings.from_params(flow().params.plot_differences(BOOK))),
    ):
        there = unescape(caption(name, settings.model_dump(mode="json")))
        assert captions.joined(name, settings) == there, name


def test_each_table_is_shown_as_a_page_with_a_caption_a_title_and_its_place():
    """Snakemake shows HTML, and offers CSV as a download alone."""
    pages = flow().table_pages
    places = {(one.csv, one.category, one.subcategory) for one in pages}
    assert {
        ("results/comparison.csv", "Comparison", "All experiments"),
        ("results/cross_task.csv", "Comparison", "All experiments"),
        ("results/tasks/book/excluded.csv", "Data", "book"),
    } <= places
    assert len({one.page for one in pages}) == len(pages)
    assert all(one.page.endswith(".html") and one.title for one in pages)
    for one in pages:
        assert caption(one.caption)
    for rules in RULES.glob("*.smk"):
        shown = re.findall(r'report\(\s*"([^"]+)"', rules.read_text(encoding="utf-8"))
        assert all(path.endswith((".svg", ".html")) for path in shown), rules


def test_tables_say_what_they_hold():
    assert "cross_task.csv on other tasks" in caption("comparison")
    assert "No p-value is adjusted" in caption("baselines")
    assert "the number of its chunk or paragraph" in caption("excluded")


def test_long_params_are_said_in_a_few_words():
    one = flow()
    plan, content = one.report.plan(), one.params.page_content(SimpleNamespace())
    for params in (plan, content):
        assert len(f"{params}") < 120
        assert repr(params) == repr(dict(params)), "Snakemake compares these"
        assert type(pickle.loads(pickle.dumps(params))) is dict


@pytest.mark.parametrize("file", sorted(CAPTIONS.glob("*.rst")), ids=lambda file: file.stem)
def test_captions_name_columns_that_there_are(file):
    columns = re.findall(r"(?<!\*)\*(\w+)\*(?!\*)", file.read_text(encoding="utf-8"))
    assert set(columns) <= {*COLUMNS, "adapters"}


def test_each_caption_belongs_to_an_output_whose_wildcards_it_names():
    """A caption that names a wildcard which its rule lacks would be of another table in silence."""
    uses = {}
    for rules in RULES.glob("*.smk"):
        text = rules.read_text(encoding="utf-8")
        for path, name in re.findall(
            r'report\(\s*"([^"]+)",\s*caption="../report/(\w+).rst"', text
        ):
            uses.setdefault(name, []).append(set(re.findall(r"{(\w+)}", path)))
    tables = {one.caption for one in flow().table_pages}
    assert {file.stem for file in CAPTIONS.glob("*.rst")} - {"prompts"} == {
        *(*uses, *tables, "workflow")
    }
    for name, wildcards in uses.items():
        source = (CAPTIONS / f"{name}.rst").read_text(encoding="utf-8")
        named = set(re.findall(r"snakemake\.wildcards\.(\w+)", source))
        assert all(named <= one for one in wildcards), name


def test_the_report_says_the_seeds_of_the_run():
    assert "with seed 1 alone" in caption("workflow", config={})
    assert "with seeds 4, 5;" in caption("workflow", config={"seeds": [4, 5]})
    assert caption("page")

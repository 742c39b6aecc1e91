"""The report: words follow numbers, texts cannot act, the same data make the same page."""

import base64
import dataclasses
import hashlib
import io
import json
import math
import re
import warnings
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from deltatune.core import manifest
from deltatune.core.errors import UserError
from deltatune.report import (
    collect,
    examples,
    markup,
    numbers,
    outcomes,
    page,
    upstream,
    verdict,
)
from deltatune.report.caveats import Caveat, Code
from deltatune.report.data import COSTS, ReportData
from deltatune.report.figures import confusion, differences, embed, forest, losses, style, svg
from deltatune.report.sections import caveats, downloads, records, results, tasks
from deltatune.report.text import clean
from deltatune.tasks.registry import load_kind
from great_tables import GT
from test_compare_fact import a_fact

TEMPLATE = Path(__file__).parents[2] / "report" / "page.html.j2"
HOSTILE = "<script>alert(1)</script> </script> {{7*7}} naïve 日本語 \x00\x1b[31m \u202e & \"'"
#: Columns of `row` that a fact of one adapter has no use for.
NOT_FACTS = ("p_value", "p_holm")
VOID = {"meta", "link", "br", "input", "img", "hr"}


def row(experiment="ex", task="instructions", metric="rouge_l", **changed) -> dict:
    values = {
        "experiment": experiment,
        "task": task,
        "model": "tiny",
        "metric": metric,
        "higher_is_better": True,
        "n": 200,
        "base": 0.12,
        "tuned": 0.61,
        "ci_low": 0.45,
        "ci_high": 0.53,
        "p_value": 0.0001,
        "p_holm": 0.0003,
        **changed,
    }
    values.setdefault("delta", values["tuned"] - values["base"])
    return values


def perplexity(base, tuned, low, high, **changed) -> dict:
    return row(
        "novel-r8",
        "novel",
        "perplexity",
        higher_is_better=False,
        base=base,
        tuned=tuned,
        ci_low=low,
        ci_high=high,
        **changed,
    )


def experiment(task="instructions", kind="instruct", metric="rouge_l", seeds=(1, 2)) -> dict:
    module = load_kind(kind)
    return {
        "task": task,
        "kind": module.TITLE,
        "outputs": module.OUTPUTS,
        "unit": module.UNIT,
        "model": "tiny",
        "quantization": "nf4",
        "main_metric": metric,
        "settings": {"lora": {"r": 8, "target_modules": ["q_proj"]}, "training": {"epochs": 3}},
        "seeds": list(seeds),
    }


def make_data(count=20, text="the sky is blue today", **changed) -> ReportData:
    """A small report of all three kinds; the numbers are made up, and the same each time."""
    draw = np.random.default_rng(0)
    names = {"ex": "instructions", "novel-r8": "novel", "news-r8": "news"}
    comparison = pd.DataFrame(
        [
            row(),
            row(metric="bleu", base=3.2, tuned=41.7, ci_low=35.0, ci_high=42.0, p_holm=np.nan),
            perplexity(812.4, 626.2, -224.0, -146.0),
            row("news-r8", "news", "accuracy", base=0.25, tuned=0.26, ci_low=-0.02, ci_high=0.04,
                p_value=0.4, p_holm=0.41),
        ]
    )  # fmt: skip
    details = comparison[outcomes.KEY].assign(
        seeds=2, seed_sd=[0.01, 1.0, 4.0, 0.02], detectable=[0.05, 3, 40, 0.042],
        unit=["examples", "examples", "chapters", "examples"], clusters=[200, 200, 12, 200],
        method="permutation test",
    )  # fmt: skip
    steps = [
        {"experiment": name, "seed": seed, "step": step, "epoch": step / 10, "split": split,
         "loss": 5 - step / 10 + draw.normal(0, 0.05)}
        for name in names for seed in (1, 2) for split in ("train", "validation")
        for step in range(0, 31, 5)
    ]  # fmt: skip
    scores = pd.DataFrame(
        {"id": range(count), "base": draw.random(count), "tuned": draw.random(count)}
    )
    answers = pd.DataFrame(
        {
            "id": range(count),
            "prompt": [f"{text} {place}" for place in range(count)],
            "reference": text,
            "base": text[::-1],
            "tuned": text,
            "base_score": scores["base"],
            "tuned_score": scores["tuned"],
            "seed_score": scores["tuned"],
        }
    )
    values = {
        "comparison": comparison,
        "details": details,
        "facts": [
            a_fact(**one) for one in comparison.drop(columns=list(NOT_FACTS)).to_dict("records")
        ],
        "experiments": {
            "ex": experiment(),
            "novel-r8": experiment("novel", "prose", "perplexity"),
            "news-r8": experiment("news", "classify", "accuracy"),
        },
        "metrics": {
            "rouge_l": {"title": "ROUGE-L", "signature": "rougeL|stemmer:yes"},
            "accuracy": {"title": "Accuracy", "signature": ""},
        },
        "losses": pd.DataFrame(steps),
        "final_losses": pd.DataFrame(
            [("ex", 1, "validation", 5.0, 2.0)],
            columns=["experiment", "seed", "split", "base", "tuned"],
        ),
        "scores": {name: scores for name in names},
        "examples": {"ex": answers},
        "continuations": {
            "novel-r8": pd.DataFrame([{"prompt": text, "base": text, "tuned": text}])
        },
        "confusions": {
            "news-r8": {"labels": ["World", "Sport"], "base": [[9, 1], [8, 2]], "tuned": np.eye(2)}
        },
        "baselines": {"news": {"TF-IDF": {"title": "no number", "accuracy": 0.81, "ci_low": 0.77,
                                          "ci_high": 0.85}}},
        "records": {
            "instructions": {"rows": 1000, "kept": 980, "unusable": {"missing output": 20},
                             "duplicates": 11, "near_duplicates": 0,
                             "near_duplicate_threshold": 0.85, "splits": {"train": 900, "test": 80},
                             "truncated": 4, "padding_share": 0.032, "supervised_tokens": 1234567},
            "news": {"rows": np.int64(2000)},
        },
        "costs": pd.DataFrame(
            [("train_adapter", "ex, seed 1", 84.2, 1.6, 8123), ("split_dataset", "news", 1.1, 0.2,
              np.nan)],
            columns=COSTS,
        ),
        "provenance": {"hardware": "2 cores", "versions": {"torch": "2.13"}, "seeds": [1, 2]},
        "caveats": [Caveat(Code.TINY_MODEL, {"model": "tiny"})],
        "downloads": {"comparison.csv": comparison.to_csv(index=False)},
        "resamples": 9999,
    }  # fmt: skip
    return ReportData(**{**values, **changed})


class Reader(HTMLParser):
    """A strict reader: keeps ids, tags and texts, and fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.stack: list[str] = []
        self.scripts: list[tuple[dict, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.stack, f"never closed: {self.stack}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack and self.stack[-1] == tag, f"</{tag}> closes {self.stack[-3:]}"
        self.stack.pop()

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "script":
            attributes, so_far = self.scripts[-1]
            self.scripts[-1] = (attributes, so_far + data)
        elif self.stack and self.stack[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def html() -> str:
    return page.render(make_data(), TEMPLATE)


# ---------------------------------------------------------------------------------------- verdict


def test_improvement_is_stated_with_its_numbers():
    detail = {"seeds": 3, "seed_sd": 0.011, "unit": "examples", "clusters": 200}
    assert verdict.sentence(row(), experiment(), detail, "ROUGE-L", 9999) == (
        "Tuning tiny improved ROUGE-L on instructions from 0.12 to 0.61 (+0.49, 95% interval 0.45 "
        "to 0.53, Holm-adjusted p = 0.0003; 200 examples, 3 seeds with SD 0.011)."
    )


def test_lower_perplexity_is_better_and_in_percent():
    text = verdict.sentence(
        perplexity(8.5008, 6.2617, -2.40, -2.08),
        experiment("novel", "prose", "perplexity"),
        {"unit": "chapters", "clusters": 12},
        "Perplexity",
    )
    assert "lowered Perplexity on novel from 8.50 to 6.26, and lower is better" in text
    assert "−2.24 or −26%" in text
    assert "200 windows in 12 chapters" in text
    assert "p < 0.001" in text


def test_harm_is_called_harm_in_both_directions():
    down = row(base=0.5, tuned=0.3, ci_low=-0.25, ci_high=-0.15)
    up = perplexity(8.0, 9.0, 0.8, 1.2)
    assert outcomes.outcome(down) == outcomes.outcome(up) == "worsened"
    for one in (down, up):
        text = verdict.sentence(one, experiment(), {}, "M")
        assert "which is worse" in text
        assert "improved" not in text
        assert "better" not in text


def test_no_difference_says_what_could_have_been_seen():
    one = row(base=0.2525, tuned=0.265, ci_low=-0.017, ci_high=0.044, p_value=0.4, p_holm=0.41)
    text = verdict.sentence(one, experiment(), {"detectable": 0.042}, "Accuracy")
    assert text.startswith("No difference in Accuracy on instructions could be shown: 0.253 before")
    assert text.endswith(
        "The smallest difference that 200 examples could have shown, with a power of 80%, is "
        "about 0.042."
    )


def test_correction_that_takes_a_result_away_is_stated():
    one = row(base=0.1, tuned=0.2, ci_low=0.01, ci_high=0.19, p_value=0.03, p_holm=0.09)
    assert outcomes.outcome(one) == "undetected"
    assert "correction for the number of comparisons" in verdict.sentence(one, {}, {}, "M")


def test_interval_that_disagrees_with_the_test_is_stated():
    one = row(base=0.1, tuned=0.2, ci_low=-0.01, ci_high=0.2, p_value=0.01, p_holm=0.02)
    assert "The interval includes zero" in verdict.sentence(one, {}, {}, "M")
    assert "includes zero" not in verdict.sentence(row(), {}, {}, "M")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"p_holm": np.nan}, "improved"),
        ({"p_holm": np.nan, "p_value": 0.2}, "undetected"),
        ({"p_holm": np.nan, "p_value": np.nan}, "improved"),
        ({"p_holm": np.nan, "p_value": np.nan, "ci_low": -1.0}, "undetected"),
        ({"p_holm": np.nan, "p_value": np.nan, "ci_low": np.nan}, "unknown"),
        ({"base": np.nan, "delta": np.nan}, "unknown"),
        ({"tuned": 0.12, "delta": 0.0}, "undetected"),
        ({"higher_is_better": "False"}, "worsened"),
        ({"p_holm": 0.05}, "undetected"),
    ],
)
def test_outcome(changed, expected):
    assert outcomes.outcome(row(**changed)) == expected
    assert verdict.sentence(row(**changed), experiment(), {}, "M")


def test_level_follows_the_confidence():
    one = row(p_holm=0.03)
    assert outcomes.outcome(one, 0.95) == "improved"
    assert outcomes.outcome(one, 0.99) == "undetected"
    assert "99% interval" in verdict.sentence(one, {}, {}, "M", confidence=0.99)


def test_what_is_missing_is_named():
    text = verdict.sentence(row(base=np.nan, delta=np.nan), experiment(), {}, "ROUGE-L")
    assert text == (
        "Tuning tiny on instructions could not be compared: ROUGE-L has no value for the base "
        "model."
    )
    lone = row(ci_low=np.nan, ci_high=np.nan)
    assert "interval" not in verdict.sentence(lone, experiment(), {}, "ROUGE-L")


@pytest.mark.parametrize(
    ("value", "resamples", "expected"),
    [
        (0.0003, 9999, "0.0003"),
        (0.0003, None, "< 0.001"),
        (0.0003, 999, "< 0.001"),
        (0.001, 999, "0.001"),
        (0.0, 9999, "< 0.0001"),
        (0.004, 199, "< 0.005"),
        (1e-12, 10**9, "< 0.0001"),
        (0.0234, None, "0.023"),
        (0.414, None, "0.41"),
        (1.0, None, "1.00"),
        (float("nan"), 9999, "–"),
    ],
)
def test_p_values(value, resamples, expected):
    assert numbers.format_p(value, resamples) == expected


@pytest.mark.parametrize(
    ("value", "decimals", "plain", "signed"),
    [
        (-1469.4, 0, "−1,469", "−1,469"),
        (0.494, 2, "0.49", "+0.49"),
        (-0.001, 2, "0.00", "0.00"),
        (0.001, 2, "0.00", "0.00"),
        (float("inf"), 2, "–", "–"),
        (None, 2, "–", "–"),
    ],
)
def test_numbers(value, decimals, plain, signed):
    assert numbers.format_number(value, decimals) == plain
    assert numbers.format_signed(value, decimals) == signed


def _verdicts(*outcomes, own=True, task=None):
    return [
        verdict.Verdict(
            *(f"e{place}", task or f"t{place}", "m", one, "", own),
            harm=place + 2,
            change=f"m from 1 to {place + 2}",
        )
        for place, one in enumerate(outcomes)
    ]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (_verdicts(), "No tuned model has been compared with its base yet."),
        (_verdicts("improved"), "Tuning helped."),
        (_verdicts("worsened"), "Tuning hurt."),
        (_verdicts("improved", "improved", "improved"), "Tuning helped on 3 of 3 tasks."),
        (_verdicts("undetected", "undetected"), "Tuning made no detectable difference on any of 2 "
         "tasks."),
        (_verdicts("improved", "worsened", "undetected"), "Tuning helped on 1 of 3 tasks; it hurt "
         "on one and made no detectable difference on one."),
        (_verdicts("worsened", "unknown"), "Tuning helped on none of 2 tasks; it hurt on one and "
         "could not be compared on one."),
        (_verdicts("improved", "worsened", task="t"), "Tuning helped in 1 of 2 experiments; it "
         "hurt in one."),
        (_verdicts("improved") + _verdicts("undetected", own=False), "Tuning helped. Cross-task, "
         "in 1 comparison on 1 task that it was not tuned for, it made no detectable difference."),
        (_verdicts("improved") + _verdicts("worsened", "worsened", "improved", own=False, task="t"),
         "Tuning helped. Cross-task, in 3 comparisons on 1 task that it was not tuned for, it "
         "helped in one and hurt in two; at worst m from 1 to 3 (e1)."),
    ],
)  # fmt: skip
def test_overall(verdicts, expected):
    assert verdict.overall(verdicts) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"base": 63, "tuned": 846, "higher_is_better": False}, 846 / 63),
        ({"base": 6.0, "tuned": 0.02, "higher_is_better": True}, 300),
        ({"base": 6.0, "tuned": 0.0, "higher_is_better": True}, math.inf),
        ({"base": 0.5, "tuned": 0.6, "higher_is_better": True}, 1),
        ({"base": float("nan"), "tuned": 0.6, "higher_is_better": True}, 1),
    ],
)
def test_harm_is_a_factor_by_the_direction_of_the_metric(changes, expected):
    assert verdict.harm(row(**changes)) == pytest.approx(expected)


def test_summary_takes_main_metrics_and_knows_other_tasks():
    data = make_data()
    table = pd.concat(
        [data.comparison.iloc[::-1], pd.DataFrame([row("news-r8", tuned=0.05, delta=-0.07)])]
    )
    data.comparison = table
    summary = verdict.summarize(data)
    assert [(one.experiment, one.metric, one.own) for one in summary.verdicts] == [
        ("news-r8", "accuracy", True),
        ("novel-r8", "perplexity", True),
        ("ex", "rouge_l", True),
        ("news-r8", "rouge_l", False),
    ]
    assert summary.overall.startswith("Tuning helped on 2 of 3 tasks; it made no detectable")
    assert "does not beat a plain baseline in Accuracy: TF-IDF reaches 0.810" in summary.lines[1]


def test_baseline_that_is_beaten_is_not_mentioned():
    assert verdict.beaten_by(row(), "rouge_l", "ROUGE-L", {"x": {"rouge_l": 0.3}}) == ""
    assert verdict.beaten_by(row(), "rouge_l", "ROUGE-L", {"x": {"accuracy": 0.9}}) == ""


# ---------------------------------------------------------------------------------------- results


def test_headline_cells():
    data = make_data()
    data.comparison = data.comparison.iloc[[1, 0, 2, 3]]
    frame = results.headline_frame(data)
    main = frame.iloc[0]
    assert (main["metric"], main["main"]) == ("ROUGE-L ★", True)
    assert (main["base"], main["tuned"], main["delta"]) == ("0.12", "0.61", "+0.49")
    assert (main["interval"], main["p"], main["seed_sd"]) == ("0.45 to 0.53", "0.0003", "0.010")
    assert frame.iloc[1]["p"] == "0.0001 †"
    assert frame.iloc[2]["metric"] == "perplexity ↓ ★"
    assert frame.iloc[2]["delta"] == "−186 (−23%)"
    assert frame["outcome"].tolist() == ["improved", "improved", "improved", "undetected"]
    assert "†" in results.notes(frame)
    assert "†" not in results.notes(frame.iloc[[0]])


def test_headline_markup_is_escaped_and_has_no_colors_of_its_own():
    data = ReportData(
        pd.DataFrame([row(experiment=HOSTILE, ci_low=np.nan)]),
        {HOSTILE: {**experiment(), "model": HOSTILE}},
        {"rouge_l": {"title": HOSTILE}},
    )
    table = results.view(data)["table"]
    assert "<script" not in table
    assert "<style" not in table
    assert not re.search(r"#[0-9a-fA-F]{3,6}\b[^-]", re.sub(r'"[^"]*headline[^"]*"', "", table))
    assert "Seed SD" not in table
    reader = Reader(table)
    assert [one["scope"] for tag, one in reader.tags if tag == "th"].count("row") == 1
    assert all("scope" in one for tag, one in reader.tags if tag == "th")
    styled = [one for tag, one in reader.tags if tag == "td" and "color:" in one.get("style", "")]
    assert len(styled) == 1


# --------------------------------------------------------------------------------------- examples


def test_clean_shows_what_hides():
    assert clean("a\x00b\x1b\x7f\u202e\ud800\r\nc\td") == "a␀b␛␡\ufffd\ufffd\nc\td"
    assert clean(None) == clean(float("nan")) == ""
    assert clean("naïve 日本語 👩‍🔬") == "naïve 日本語 👩‍🔬"


def test_words_that_differ_are_marked():
    pieces = markup.differing("The cat sat, on a mat.", "the cat sat on the mat.")
    assert "".join(text for text, _ in pieces) == "The cat sat, on a mat."
    assert [text for text, flag in pieces if flag] == [",", "a"]
    assert str(markup.show("a <b>", "a")) == 'a <span class="x">&lt;b&gt;</span>'
    assert "span" not in markup.show("same words", "same words")
    assert str(markup.show("big dogs run", "cats")) == '<span class="x">big dogs run</span>'


def test_nothing_is_compared_beyond_the_limit():
    pieces = markup.differing("x " * 10, "y", limit=3)
    assert [text for text, flag in pieces if flag] == ["x x x"]


def test_endless_repetition_is_compared_as_a_bag():
    pieces = markup.differing("the " * 300 + "end", "the of " * 100)
    assert [text for text, flag in pieces if flag] == ["end"]


def test_long_texts_fold_and_say_so():
    text = "word " * 2000
    shown = str(markup.show(text, limit=4000))
    assert '<details class="more"><summary>… show all 4,000 characters</summary>' in shown
    assert "6,000 more characters are not on this page" in shown
    whole = re.sub(r"<summary>.*?</summary>|<span.*?</span>|<[^>]+>", "", shown)
    assert whole == text[:4000]
    assert "<details" not in markup.show("word " * 20)
    short = str(markup.show(text, limit=markup.PREVIEW))
    assert "9,400 more characters" in short
    assert "(empty)" in markup.show(" \n")


def test_examples_are_chosen_without_favor():
    count = 250
    frame = pd.DataFrame(
        {"id": range(count), "base_score": 0.0, "tuned_score": np.linspace(-1, 1, count)}
    )
    best_first = examples.choose(frame, higher_is_better=True, limit=100)
    assert len(best_first) == 100
    assert best_first["id"].iloc[0] == count - 1
    assert best_first["id"].iloc[-1] == 0
    assert best_first["gain"].is_monotonic_decreasing
    assert best_first["gain"].abs().lt(0.15).sum() >= 30
    assert examples.choose(frame, higher_is_better=False, limit=100)["id"].iloc[0] == 0
    frame.loc[5, "tuned_score"] = np.nan
    assert examples.choose(frame.iloc[:10], higher_is_better=True, limit=100)["id"].iloc[-1] == 5


def test_tally_counts_by_direction():
    scores = pd.DataFrame({"base": [1, 1, 1, 1.0], "tuned": [2, 1 + 1e-12, 0.5, np.nan]})
    tally = examples.tally(scores, higher_is_better=True)
    assert tally == {"better": 1, "unchanged": 1, "worse": 1, "unscored": 1}
    scores["tuned"] = [2, 2, 1, 0.0]
    assert examples.tally(scores, higher_is_better=False)["worse"] == 2
    assert set(examples.tally(scores.iloc[:0], higher_is_better=True).values()) == {0}


# ---------------------------------------------------------------------------------------- figures


def drawn() -> dict:
    data = make_data()
    return {
        "forest": lambda: forest.plot(data.facts),
        "losses": lambda: losses.plot(data.losses[data.losses["experiment"] == "ex"]),
        "confusion": lambda: confusion.plot(data.confusions["news-r8"], [1, 2]),
        "differences": lambda: differences.plot(data.scores["ex"], [1, 2]),
    }


@pytest.mark.parametrize("name", ["forest", "losses", "confusion", "differences"])
def test_figures_are_repeatable_and_fit_the_page(name):
    picture = embed.to_svg(drawn()[name](), "What it shows <&>", "a")
    assert picture == embed.to_svg(drawn()[name](), "What it shows <&>", "a")
    assert "date" not in picture.lower()
    assert "metadata" not in picture
    assert "#000000" not in picture, "black ink cannot be read in dark mode"
    assert "currentColor" in picture
    assert "DejaVu" not in picture
    root = ET.fromstring(picture)
    assert root.find("title").text == "What it shows <&>"
    assert root.get("aria-labelledby") == root.find("title").get("id")
    ids = [one.get("id") for one in root.iter() if one.get("id")]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r"(?:url\(#|href=\"#)([\w-]+)", picture))
    assert used <= set(ids)
    second = ET.fromstring(embed.to_svg(drawn()[name](), "", "b"))
    assert not set(ids) & {one.get("id") for one in second.iter()} - {None}


def test_default_prefix_tells_figures_apart():
    one = embed.to_svg(drawn()["forest"]())
    assert one == embed.to_svg(drawn()["forest"]())
    other = embed.to_svg(drawn()["losses"]())
    assert not set(re.findall(r' id="([^"]+)', one)) & set(re.findall(r' id="([^"]+)', other))


def test_saved_figures_stand_alone(tmp_path):
    svg.save(drawn()["forest"](), tmp_path / "a.svg")
    svg.save(drawn()["forest"](), tmp_path / "b.svg")
    content = (tmp_path / "a.svg").read_bytes()
    assert content == (tmp_path / "b.svg").read_bytes()
    assert b"#ffffff" in content
    assert b"var(" not in content
    assert b"dc:date" not in content
    ET.fromstring(content)


def test_figures_take_what_is_missing_or_odd():
    bare = [
        a_fact(ci_low=None, ci_high=None, delta=0.49, no_interval="few_differing"),
        a_fact(metric="x", delta=None),
    ]
    picture = embed.to_svg(forest.plot(bare))
    assert "+0.490" in picture and "no interval: most examples score the same" in picture
    nothing = embed.to_svg(forest.plot(bare[1:]))
    assert "There is no difference to draw." in nothing
    one_seed = pd.DataFrame(
        {"seed": 1, "step": [0, 5], "epoch": 0, "split": "validation", "loss": [3.0, np.nan]}
    )
    assert "base 3.00" in embed.to_svg(losses.plot(one_seed))
    assert "No loss" in embed.to_svg(losses.plot(one_seed.iloc[[1]]))
    many = {"labels": [f"label {n}" for n in range(30)], "base": np.eye(30), "tuned": np.eye(30)}
    assert "label 29" in embed.to_svg(confusion.plot(many, [1]))
    empty_row = {"labels": ["a", "b"], "base": [[0, 0], [1, 2]], "tuned": [[0, 0], [0, 3]]}
    assert "NaN" not in embed.to_svg(confusion.plot(empty_row, [1])).replace("nan", "NaN")
    flat = pd.DataFrame({"base": [0.5, 0.5], "tuned": [0.5, 0.5]})
    assert "<svg" in embed.to_svg(differences.plot(flat, [1]))
    gap = pd.DataFrame({"base": [np.nan], "tuned": [0.5]})
    assert "No example" in embed.to_svg(differences.plot(gap, [1]))


def test_labels_are_text_not_mathematics_or_markup():
    matrices = {"labels": ["$x^2$", HOSTILE], "base": np.eye(2), "tuned": np.eye(2)}
    picture = embed.to_svg(confusion.plot(matrices, [1]), HOSTILE)
    assert "$x^2$" in picture
    assert "<script" not in picture
    ET.fromstring(picture)


def test_colors_follow_the_good_direction():
    scores = pd.DataFrame({"base": [1.0, 1.0], "tuned": [0.5, 0.4]})
    better = embed.to_svg(differences.plot(scores, [1], higher_is_better=False))
    worse = embed.to_svg(differences.plot(scores, [1], higher_is_better=True))
    assert "--tuned" in better and "--loss" not in better and "← better" in better
    assert "--loss" in worse and "--tuned" not in worse and "better →" in worse


# ------------------------------------------------------------------------------------------- page


def test_page_is_whole_and_in_order(html):
    reader = Reader(html)
    sections = [one["id"] for tag, one in reader.tags if tag == "section" and "id" in one]
    assert sections == [
        "results", "caveats", "differences", "tasks", "examples", "losses", "costs", "data",
        "provenance", "downloads",
    ]  # fmt: skip
    assert "Tuning helped on 2 of 3 tasks" in reader.text
    ids = [one["id"] for _, one in reader.tags if "id" in one]
    assert len(ids) == len(set(ids))
    targets = {one["href"][1:] for tag, one in reader.tags if one.get("href", "")[:1] == "#"}
    assert targets <= set(ids)
    labels = {one["aria-labelledby"] for _, one in reader.tags if "aria-labelledby" in one}
    assert labels <= set(ids)
    assert reader.text.endswith("deltatune 0.1.0")
    assert "1,234,567" in reader.text
    assert "11 duplicate and 0 near-duplicate rows" in reader.text
    assert "(exact; word 3-gram Jaccard ≥ 0.85)" in reader.text


def test_page_needs_nothing_else(html):
    reader = Reader(html)
    for tag, attributes in reader.tags:
        assert "src" not in attributes, tag
        for key in ("href", "action"):
            value = attributes.get(key, "#")
            assert value.startswith(("#", "data:text/csv;")), (tag, value[:60])
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in html
    assert "http://" not in html and "https://" not in html
    assert not [tag for tag, _ in reader.tags if tag in ("link", "iframe", "object", "img")]


def test_page_lets_only_its_own_script_run(html):
    reader = Reader(html)
    running = [text for attributes, text in reader.scripts if "type" not in attributes]
    assert len(running) == 1
    digest = base64.b64encode(hashlib.sha256(running[0].encode()).digest()).decode()
    policy = next(one["content"] for _, one in reader.tags if "http-equiv" in one)
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_every_figure_says_what_it_shows(html):
    reader = Reader(html)
    pictures = [one for tag, one in reader.tags if tag == "svg"]
    assert len(pictures) >= 8
    assert all(one["role"] == "img" and one["aria-labelledby"] for one in pictures)
    assert "Confusion matrix: base." in html


def test_same_data_same_bytes(html):
    assert page.render(make_data(), TEMPLATE) == html


def test_hostile_texts_stay_texts():
    data = make_data(count=2, text=HOSTILE)
    data.experiments = {HOSTILE: data.experiments["ex"], **data.experiments}
    data.examples = {HOSTILE: data.examples["ex"]}
    data.caveats = [Caveat(Code.TINY_MODEL, {"model": HOSTILE})]
    data.provenance = {HOSTILE: {HOSTILE: [HOSTILE]}}
    data.records = {HOSTILE: {"unusable": {HOSTILE: 1}, HOSTILE: HOSTILE}}
    data.costs = pd.DataFrame([(HOSTILE, HOSTILE, 1, 1, 1)], columns=COSTS)
    data.downloads = {HOSTILE: HOSTILE}
    data.confusions = {"news-r8": {"labels": [HOSTILE], "base": [[1]], "tuned": [[1]]}}
    data.baselines = {"news": {HOSTILE: {"accuracy": 1.0}}}
    data.metrics = {"rouge_l": {"title": HOSTILE, "signature": HOSTILE}}
    data.title = HOSTILE
    html = page.render(data, TEMPLATE)
    reader = Reader(html)
    assert len(reader.scripts) == 2
    assert not [text for _, text in reader.scripts if "alert" in text]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", html)
    assert "{{7*7}}" in reader.text
    assert "日本語" in reader.text
    assert "<script>alert(1)</script>" in reader.text


def test_island_cannot_be_left(html):
    assert "<" not in page.json_island({"a": "</script><!--"})
    assert json.loads(page.json_island({"a": "</script>&"})) == {"a": "</script>&"}
    island = next(text for attributes, text in Reader(html).scripts if "type" in attributes)
    facts = json.loads(island)["examples0"]
    assert len(facts) == 20
    assert facts[0]["side"] == "better"
    assert {one["side"] for one in facts} == {"better", "worse"}


def test_filter_facts_stand_in_the_order_of_the_examples(html):
    reader = Reader(html)
    sides = [one["class"].split()[1] for tag, one in reader.tags
             if tag == "details" and one.get("class", "").startswith("example ")]  # fmt: skip
    island = next(text for attributes, text in reader.scripts if "type" in attributes)
    assert sides == [one["side"] for one in json.loads(island)["examples0"]]


@pytest.mark.parametrize(
    "gone",
    ["details", "losses", "scores", "examples", "continuations", "confusions", "baselines",
     "records", "costs", "provenance", "caveats", "downloads", "metrics", "final_losses"],
)  # fmt: skip
def test_each_part_may_be_absent(gone, monkeypatch):
    monkeypatch.setattr(embed, "to_svg", lambda *_: "<svg></svg>")
    data = make_data(count=3)
    default = getattr(ReportData(data.comparison, data.experiments), gone)
    setattr(data, gone, pd.DataFrame() if isinstance(default, pd.DataFrame) else default)
    reader = Reader(page.render(data, TEMPLATE))
    assert "Tuning helped on 2 of 3 tasks" in reader.text


def test_nothing_but_a_comparison():
    one = make_data()
    data = ReportData(one.comparison.iloc[[0]], {"ex": experiment(seeds=[1])})
    text = Reader(page.render(data, TEMPLATE)).text
    assert "Tuning helped." in text
    assert "ex was tuned with one seed" in text
    empty = ReportData(one.comparison.iloc[:0], {})
    text = Reader(page.render(empty, TEMPLATE)).text
    assert "No tuned model has been compared" in text
    assert "There are none." in text


PUBLISHED = {
    "source": "A notebook <of 2024>.",
    "metrics": {
        "bleu": {"base": None, "tuned": 0.5093, "scale": 100},
        "rouge_l": {"base": 0.25, "tuned": 0.6298, "scale": 1},
        "exact_match": {"base": None, "tuned": 0.04, "scale": 1},
    },
    "differs": ["It sampled its answers.", "It saw the test set."],
}


def published(**changed) -> dict:
    data = make_data()
    data.experiments["ex"]["published"] = {**PUBLISHED, **changed}
    data.metrics["bleu"] = {"title": "BLEU", "signature": ""}
    return data


def test_published_figures_stand_beside_ours_on_our_scale():
    view = tasks.published_view(published(), "ex")
    assert [(row["metric"], *row["theirs"], *row["ours"]) for row in view["rows"]] == [
        ("BLEU", "–", "50.93 (0.5093 × 100)", "3.2", "41.7"),
        ("ROUGE-L", "0.25", "0.6298", "0.12", "0.61"),
        ("exact_match", "–", "0.04", "–", "–"),
    ]
    text = Reader(page.render(published(), TEMPLATE)).text
    assert text.count("Beside published figures") == 1
    assert "A notebook <of 2024>." in text
    assert "BLEU – 50.93 (0.5093 × 100) 3.2 41.7 ROUGE-L 0.25 0.6298 0.12 0.61" in text
    assert "It sampled its answers. It saw the test set." in text


def test_a_recipe_without_figures_says_so_and_one_without_a_source_nothing():
    text = Reader(page.render(published(metrics={}, differs=[]), TEMPLATE)).text
    assert "A notebook <of 2024>. No figures were given." in text
    assert "The method differs" not in text
    assert "Published" not in Reader(page.render(make_data(), TEMPLATE)).text


def test_published_figures_of_another_task_are_not_ours():
    data = published()
    data.facts = [dataclasses.replace(one, task="another") for one in data.facts]
    view = tasks.published_view(data, "ex")
    assert [row["ours"] for row in view["rows"]] == [["–", "–"]] * 3


def test_unknown_numbers_leave_dashes():
    gaps = row(ci_low=np.nan, ci_high=np.nan, p_value=np.nan, p_holm=np.nan, n=np.nan)
    data = ReportData(pd.DataFrame([gaps]), {"ex": experiment()})
    text = Reader(page.render(data, TEMPLATE)).text
    assert "neither a p-value nor an interval" in text
    assert "nan" not in text.lower().split()


def test_missing_column_is_named():
    data = make_data()
    data.comparison = data.comparison.drop(columns="p_holm")
    with pytest.raises(UserError, match="p_holm"):
        page.render(data, TEMPLATE)


def test_page_stays_light_with_many_long_texts():
    html = page.render(make_data(count=200, text="a long answer, word by word; " * 200), TEMPLATE)
    assert len(html.encode()) < 1_000_000
    text = Reader(html).text
    assert "100 of 200 examples are on this page" in text
    assert "more characters are not on this page" in text


def test_downloads_carry_the_file_or_say_where_it_is():
    small, large = "a,b\n1,ü\n", "x,y\n" * 100_000
    views = downloads.view({"large.csv": large, "small.csv": small})
    assert [one["name"] for one in views] == ["large.csv", "small.csv"]
    assert views[0]["href"] is None
    encoded = views[1]["href"].removeprefix("data:text/csv;charset=utf-8;base64,")
    assert base64.b64decode(encoded).decode() == small


def test_caveats_come_from_the_numbers():
    data = make_data()
    data.details = data.details.assign(seed_sd=[0.3, 1, 1, 0.001], clusters=[200, 200, 3, 200])
    data.comparison = data.comparison.assign(n=[200, 200, 200, 12])
    text = " ".join(caveats.view(data))
    assert "ex on instructions: ROUGE-L varies over training seeds (SD 0.30)" in text
    assert "novel was evaluated on 3 chapters only" in text
    assert "news was evaluated on 12 examples only" in text
    assert "one seed" not in text
    assert text.count("varies over") == 1


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.85, "850 ms"), (12.34, "12.3 s"), (59.96, "1 min 00 s"), (3599.7, "1 h 00 min"),
     (7620, "2 h 07 min"), (np.nan, "–")],
)  # fmt: skip
def test_durations(seconds, expected):
    assert numbers.format_seconds(seconds) == expected


def _luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("mode", [0, 1])
def test_colors_have_contrast_in_both_modes(mode):
    """WCAG 2.1: 4.5 to 1 for text, 3 to 1 for what a figure draws."""
    css = (TEMPLATE.parent / "style.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    names = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[mode]))

    def contrast(one, other):
        high, low = sorted((_luminance(names[one]), _luminance(names[other])), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for ground in ("paper", "card"):
        for text in ("ink", "muted", "gain", "loss", "tuned", "base"):
            assert contrast(text, ground) >= 4.5, (text, ground)
    assert contrast("ink", "loss-tint") >= 4.5


def test_the_page_shows_as_many_examples_as_asked():
    assert "6 of 20 examples are on this page" in page.render(
        make_data(20, max_examples=6), TEMPLATE
    )
    assert "examples are on this page" not in page.render(make_data(20), TEMPLATE)


# ---------------------------------------------------------------------------------------- caveats


def test_a_caveat_is_a_sentence_made_of_its_details():
    details = {"experiment": "ex", "system": "seed 1", "count": 1234, "total": 5678}
    assert str(Caveat(Code.EMPTY, details)) == "ex, seed 1: 1,234 of 5,678 answers are empty."
    metric = {"experiment": "ex", "systems": ["base", "seed 1"], "text": "{0} is no field"}
    assert str(Caveat(Code.METRIC, metric)) == "ex (base, seed 1): {0} is no field."


def test_the_report_says_where_base_and_tuned_had_other_batches():
    manifests = {
        system: {"batch_size_used": size}
        for system, size in {"base": 32, "seed 1": 16, "seed 2": 32}.items()
    }
    (caveat,) = collect.batch_sizes("news", manifests)
    assert caveat.code is Code.BATCH_SIZES
    assert str(caveat).startswith("news: memory ran out")
    assert "base: 32, seed 1: 16, seed 2: 32" in str(caveat)
    manifests["seed 1"] = manifests["base"]
    assert collect.batch_sizes("news", manifests) == []


def test_answers_without_fault_have_no_caveat():
    counts = {"examples": 9, "empty": 0, "unfinished": 2}
    (caveat,) = collect.answer_faults("ex", "base", counts)
    assert str(caveat).startswith("ex, base: 2 of 9 answers were cut")
    assert collect.answer_faults("ex", "base", {"examples": 9}) == []


def test_caveats_of_a_metric_name_its_systems(tmp_path):
    files = [tmp_path / name for name in ("base.json", "seed-1.json")]
    for path, texts in zip(files, (["rough"], ["rough", "few"]), strict=True):
        manifest.write(path, metrics={"bleu": {"caveats": texts}, "chrf": {"caveats": texts}})
    paths = {"base": files[0], "tuned": files[1:]}
    sentences = [str(one) for one in collect.metric_caveats("ex", ["base", "seed 1"], paths)]
    assert sentences == ["ex (base, seed 1): rough.", "ex (seed 1): few."]


def _split_manifest(threshold, **excluded):
    settings = {"split": {"near_duplicates": threshold}}
    return {"settings": settings, "excluded": excluded}


def test_no_duplicate_is_claimed_but_of_what_was_tested():
    """Where near duplicates are not looked for, nothing is said of them."""
    splits = {
        "news": _split_manifest(0.85),
        "prose": _split_manifest(0.85),
        "tips": _split_manifest(0.5),
        "talks": _split_manifest(None),
        "dirty": _split_manifest(0.85, duplicate=1),
    }
    assert [str(one) for one in collect.no_duplicates(splits)] == [
        "Leakage, news, prose: no test or validation record repeats a training record (exact; "
        "word 3-gram Jaccard ≥ 0.85).",
        "Leakage, tips: no test or validation record repeats a training record (exact; word "
        "3-gram Jaccard ≥ 0.5).",
        "Leakage, talks: no test or validation record repeats a training record (exact alone).",
    ]


@pytest.mark.parametrize(
    ("threshold", "sentence", "cells"),
    [
        (0.85, "3 duplicate and 2 near-duplicate rows were left out of the splits (exact; word "
               "3-gram Jaccard ≥ 0.85).", {"Near duplicates left out": ["2"]}),
        (None, "3 duplicate rows were left out of the splits (exact alone).", {}),
    ],
)  # fmt: skip
def test_duplicates_left_out_are_said_with_what_was_tested(tmp_path, threshold, sentence, cells):
    excluded = {"duplicate": 2, "conflicting_label": 1} | (
        {"near_duplicate": 2} if threshold else {}
    )
    split = _split_manifest(threshold, **excluded) | {"rejected": {}, "leakage": {}}
    files = {"dataset": tmp_path / "d.json", "split": tmp_path / "s.json"}
    manifest.write(files["dataset"], rows=99, reasons={})
    manifest.write(files["split"], **split, train=70, validation=10, test=14)
    tokens = {"truncated": 0, "dropped": 0, "supervised_tokens": 9, "padding_share": 0.1}
    manifest.write(tmp_path / "t.json", **tokens)
    counts = collect.task_counts({"files": {**files, "tokens": {"train": tmp_path / "t.json"}}})
    data = make_data(records={"news": counts})
    assert f"Leakage, news: {sentence}" in caveats.view(data)
    rows = {row["name"]: row["cells"] for row in records.view(data.records)["rows"]}
    assert {name: rows[name] for name in rows if name == "Near duplicates left out"} == cells


# --------------------------------------------------------------------------------------- upstream


def test_great_tables_still_writes_a_style_sheet_and_attributes_for_quarto():
    """Where this fails, `upstream.bare_table` can go."""
    table = GT(pd.DataFrame({"a": [1]}), id="t").as_raw_html()
    assert "<style>" in table and "data-quarto-" in table and '<div id="t" style=' in table
    bare = upstream.bare_table(table)
    assert bare.startswith('<div id="t">')
    assert "<style" not in bare and "quarto" not in bare


def test_matplotlib_still_warns_of_glyphs_that_it_does_not_draw():
    """Where this fails, `upstream.without_glyph_warnings` can go."""
    figure = style.empty("日本語")
    with pytest.warns(UserWarning, match="missing from"), mpl.rc_context(style.STYLE):
        figure.savefig(io.BytesIO(), format="svg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "日本語" in svg.svg_bytes(figure).decode()


def test_matplotlib_still_writes_a_rule_for_the_whole_page():
    """Where this fails, `upstream.remove_style_sheet` can go."""
    root = ET.fromstring(svg.svg_bytes(style.empty("x")))
    sheets = [element.text for element in root.iter(f"{{{upstream.SVG}}}style")]
    assert len(sheets) == 1 and sheets[0].startswith("*")
    upstream.remove_style_sheet(root)
    assert not list(root.iter(f"{{{upstream.SVG}}}style"))

"""The report: words follow numbers, texts cannot act, the same data make the same page."""

import base64
import dataclasses
import hashlib
import io
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from deltatune.compare.fact import Fact
from deltatune.report import examples, markup, numbers, page, page_files, upstream
from deltatune.report.data import COSTS, Checkout, ReportData
from deltatune.report.examples import ExampleTable
from deltatune.report.figures import confusion, differences, embed, forest, losses, style, svg
from deltatune.report.sections import behavior, downloads, tasks
from deltatune.report.text import clean
from deltatune.tasks.registry import load_kind
from test_compare_fact import a_fact
from test_core_table import texts

TEMPLATE = Path(__file__).parents[2] / "report" / "page.html.j2"
HOSTILE = "<script>alert(1)</script> </script> {{7*7}} naïve 日本語 \x00\x1b[31m \u202e & \"'"
BEHAVIOR = {
    **{"words_median": 7.0, "words_mean": 7.2, "reference_words_median": 6.0, "tokens_mean": 9.5},
    **{"truncated_share": 0.05, "empty_share": 0.0, "repeated_4grams": 0.004},
    "distinct_share": 0.9,
}
VOID = {"meta", "link", "br", "input", "img", "hr"}


def row(experiment="ex", task="instructions", metric="rouge_l", **changed) -> Fact:
    """A main fact of the mean over two seeds."""
    values = {
        "model": "tiny",
        "base": 0.12,
        "tuned": 0.61,
        "seeds": 2,
        "ci_low": 0.42,
        "ci_high": 0.56,
        "p_value": None,
        "p_holm": None,
        "no_p": "two_seeds",
        "adapters_low": 0.45,
        "adapters_high": 0.53,
        "adapters_p_holm": 0.0003,
        **changed,
    }
    if "delta" not in values:
        values["delta"] = values["tuned"] - values["base"]
    return a_fact(experiment=experiment, task=task, metric=metric, **values)


def perplexity(base, tuned, low, high, **changed) -> Fact:
    windows = {"unit": "windows", "clusters": 12, "cluster_unit": "chapters"}
    interval = {"ci_low": low, "ci_high": high, "adapters_low": low, "adapters_high": high}
    return row(
        "novel-r8",
        "novel",
        "perplexity",
        higher_is_better=False,
        base=base,
        tuned=tuned,
        **windows | interval | changed,
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
    facts = [
        row(),
        row(
            metric="bleu",
            base=3.2,
            tuned=41.7,
            ci_low=35.0,
            ci_high=42.0,
            main=False,
            adapters_low=36.0,
            adapters_high=41.0,
            adapters_p=0.0001,
            adapters_p_holm=None,
        ),
        perplexity(812.4, 626.2, -224.0, -146.0),
        row(
            "news-r8",
            "news",
            "accuracy",
            base=0.25,
            tuned=0.26,
            ci_low=-0.03,
            ci_high=0.05,
            adapters_low=-0.02,
            adapters_high=0.04,
            adapters_p=0.4,
            adapters_p_holm=0.41,
            adapters_p_is_floor=False,
            detectable=0.042,
        ),
    ]
    tfidf = row(
        "news-r8",
        "news",
        "accuracy",
        against="tfidf",
        base=0.81,
        tuned=0.26,
        ci_low=-0.6,
        ci_high=-0.5,
        adapters_p_holm=None,
        family=0,
    )
    steps = [
        {"experiment": name, "seed": seed, "step": step, "epoch": step / 10, "split": split,
         "loss": 5 - step / 10 + draw.normal(0, 0.05)}
        for name in names for seed in (1, 2) for split in ("train", "validation")
        for step in range(0, 31, 5)
    ]  # fmt: skip
    scores = pd.DataFrame(
        {"id": range(count), "base": draw.random(count), "tuned": draw.random(count)}
    )
    values = {
        "facts": facts,
        "controls": [tfidf],
        "baseline_titles": {"tfidf": "TF-IDF"},
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
        "answer_words": {"ex": scores.rename(columns={"id": "reference", "tuned": "seed 1"}) * 9},
        "examples": [answers_table("instructions", "ex", text, scores)],
        "continuations": {
            "novel-r8": pd.DataFrame([{"prompt": text, "base": text, "tuned": text}])
        },
        "own_answers": {
            "ex": pd.DataFrame([{"text": text, "base": text, "seed 1": text, "seed 2": text}])
        },
        "confusions": {
            "news-r8": {"labels": ["World", "Sport"], "base": [[9, 1], [8, 2]], "tuned": np.eye(2)}
        },
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
        "behavior": {("ex", "instructions"): {"base": BEHAVIOR, "tuned": BEHAVIOR}},
        "checkouts": [Checkout("1" * 40, modified=False)],
        "downloads": {"comparison.csv": "experiment\nex\n"},
    }  # fmt: skip
    return ReportData(**{**values, **changed})


def answers_table(task: str, name: str, text: str, scores: pd.DataFrame) -> ExampleTable:
    """Prompts and answers of a text, by two seeds with the same scores."""
    prompts = [f"{text} {place}" for place in range(len(scores))]
    tuned = pd.DataFrame({"output": text, "score": scores["tuned"], "right": False})
    base = pd.DataFrame({"output": text[::-1], "score": scores["base"], "right": False})
    return ExampleTable(
        task=task,
        outputs="answers",
        metric="rouge_l",
        higher_is_better=True,
        title="ROUGE-L",
        unit="examples",
        records=pd.DataFrame({"id": scores["id"], "prompt": prompts, "reference": text}),
        base=base,
        tuned={name: {1: tuned, 2: tuned}},
        tested=len(scores),
        counts={name: examples.count(base, [tuned, tuned], True)},
    )


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


# ---------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("value", "is_floor", "expected"),
    [
        (0.0003, False, "= 0.0003"),
        (0.0003, True, "≤ 0.0003"),
        (0.0001, True, "≤ 0.0001"),
        (0.000121, True, "≤ 0.00013"),
        (1.2e-7, True, "≤ 0.00000012"),
        (0.125, True, "≤ 0.13"),
        (1.0, True, "= 1.00"),
        (1e-12, False, "< 0.0001"),
        (0.0234, False, "= 0.023"),
        (0.0498, False, "= 0.0498"),
        (0.414, False, "= 0.41"),
        (1.0, False, "= 1.00"),
        (None, False, "–"),
    ],
)
def test_p_values(value, is_floor, expected):
    assert numbers.format_p(value, is_floor) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(13.44, "13.4 times"), (1.4186, "1.42 times"), (141.7, "142 times"), (999.6, "1,000 times"),
     (2000, "more than 1,000 times"), (float("inf"), "more than 1,000 times")],
)  # fmt: skip
def test_factors(value, expected):
    assert numbers.format_times(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(9.424, "9.4"), (9.0, "9"), (0.494, "0.5"), (1234.56, "1,234.6")]
)
def test_means_of_counts(value, expected):
    assert numbers.format_count_mean(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, "0%"), (0.0001, "0.01%"), (0.0035, "0.35%"), (0.12, "12%"), (0.994, "99%"),
     (0.996, "99.6%"), (0.9996, "99.96%"), (1.0, "100%"), (float("nan"), "–")],
)  # fmt: skip
def test_a_share_is_neither_none_nor_all_by_rounding(value, expected):
    assert numbers.format_share(value) == expected


@pytest.mark.parametrize(
    ("base", "tuned", "expected"),
    [(800, 798, "−0.2%"), (8, 6, "−25%"), (5.213, 5.212, "−0.02%"), (2.0, 2.0, "0.0%"),
     (48_000, 31.2, "−99.94%"), (1000, 4.0, "−99.6%"), (63.6, 396.4, "+523%")],
)  # fmt: skip
def test_a_relative_change_is_neither_nothing_nor_all_by_rounding(base, tuned, expected):
    fact = row(base=base, tuned=tuned, delta=tuned - base, higher_is_better=False)
    assert numbers.percent_change(fact) == expected


@pytest.mark.parametrize(
    ("value", "decimals", "plain", "signed"),
    [
        (-1469.4, 0, "−1,469", "−1,469"),
        (0.494, 2, "0.49", "+0.49"),
        (-0.001, 2, "0.00", "0.00"),
        (0.001, 2, "0.00", "0.00"),
        (float("inf"), 2, "–", "–"),
        (None, 2, "–", "–"),
        (-1.234e20, 2, "−1.23e+20", "−1.23e+20"),
    ],
)
def test_numbers(value, decimals, plain, signed):
    assert numbers.format_number(value, decimals) == plain
    assert numbers.format_signed(value, decimals) == signed


# ---------------------------------------------------------------------------------------- results


def test_seaborn_still_loads_packages_that_no_figure_needs():
    """What report/figures/upstream.py hides from it; that no figure loads them is tested in
    tests/end_to_end/test_small_run.py."""
    code = "import seaborn, sys; print({'scipy.stats', 'statsmodels'} <= set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "True\n"


def test_how_systems_answer_stands_beside_what_the_answers_are_worth():
    data = make_data()
    short = {**BEHAVIOR, "words_median": 1.0, "truncated_share": None, "empty_share": 0.25}
    data.behavior[("ex", "instructions")]["tuned"] = short
    (table,) = behavior.view(data)
    base, tuned = texts(table)
    assert (base[2], base[6], base[8]) == ("7", "5%", "0.4%")
    assert (tuned[2], tuned[6], tuned[8]) == ("1", "–", "0.4%")
    check = {"label_mass": 3.5e-16, "chance": 0.25, "largest_predicted_share": 1.0}
    knows = check | {"label_mass": 0.0035}
    data.label_checks = {("news-r8", "news"): {"base": check, "tuned": knows}}
    assert (
        "news base 3.5e-16 100% 25% news tuned, news-r8 0.35% 100% 25%"
        in Reader(page.render(data, TEMPLATE)).text
    )


def test_a_base_answers_once_on_each_task():
    data = make_data()
    long = BEHAVIOR | {"words_mean": 9.4235}
    own, other = {"base": BEHAVIOR, "tuned": long}, {"base": BEHAVIOR, "tuned": BEHAVIOR}
    data.behavior = {("ex", "instructions"): own, ("news-r8", "instructions"): other}
    (table,) = behavior.view(data)
    assert [tuple(row[:2]) for row in texts(table)] == [
        ("instructions", "base"), ("instructions", "tuned, ex"), ("instructions", "tuned, news-r8")
    ]  # fmt: skip
    assert texts(table)[1][3] == "9.4"
    data.experiments["news-r8"]["model"] = "other"
    (table,) = behavior.view(data)
    assert [row[1] for row in texts(table)] == [
        "base, tiny", "tuned, ex", "base, other", "tuned, news-r8"
    ]  # fmt: skip


# --------------------------------------------------------------------------------------- examples


def test_clean_shows_what_hides():
    assert clean("a\x00b\x1b\x7f\u202e\ud800\r\nc\td") == "a␀b␛␡\ufffd\ufffd\nc\td"
    assert clean(None) == clean(float("nan")) == ""
    assert clean("naïve 日本語 👩‍🔬") == "naïve 日本語 👩‍🔬"
    assert (
        clean("a\u200bb\u2060c\u00add\U000e0041\U000e007f") == "a\ufffdb\ufffdc\ufffdd\ufffd\ufffd"
    )
    assert clean("می\u200cخواهم") == "می\u200cخواهم"


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
    picture = embed.to_svg(drawn()[name](), "What it shows <&>", prefix="a")
    assert picture == embed.to_svg(drawn()[name](), "What it shows <&>", prefix="a")
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
    second = ET.fromstring(embed.to_svg(drawn()[name](), prefix="b"))
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
    assert "0.25 → 0.85" in picture
    nothing = embed.to_svg(forest.plot(bare[1:]))
    assert "There is no difference to draw." in nothing
    one_seed = pd.DataFrame(
        {"seed": 1, "step": [0, 5], "epoch": 0, "split": "validation", "loss": [3.0, np.nan]}
    )
    assert "base 3.00" in embed.to_svg(losses.plot(one_seed))
    assert "No loss" in embed.to_svg(losses.plot(one_seed.iloc[[1]]))
    many = {"labels": [f"label {n}" for n in range(30)], "base": np.eye(30), "tuned": np.eye(30)}
    assert "19 others" in embed.to_svg(confusion.plot(many, [1]))
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
    assert "← 2 better" in better and "2 worse →" not in better and "0 worse →" in better
    assert "← 2 worse" in worse and "0 better →" in worse
    bars = [
        re.findall(r"<path [^>]*style=\"fill: var\(--(tuned|loss),", one) for one in (better, worse)
    ]
    assert [set(one) for one in bars] == [{"tuned"}, {"loss"}]


# ------------------------------------------------------------------------------------------- page


def test_page_is_whole_and_in_order(html):
    reader = Reader(html)
    sections = [one["id"] for tag, one in reader.tags if tag == "section" and "id" in one]
    assert sections == [
        "matrix", "results", "limits", "differences", "tasks", "behavior", "examples",
        "own_prompts", "losses", "costs", "records", "provenance", "repeat", "downloads",
    ]  # fmt: skip
    assert "helped on 2 of 3 tasks" in reader.text
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
            assert value.startswith(("#", "data:text/csv;", "data:text/markdown;")), (
                tag,
                value[:60],
            )
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in html
    assert "http://" not in html and "https://" not in html
    assert not [tag for tag, _ in reader.tags if tag in ("link", "iframe", "object", "img")]


def test_page_lets_only_its_own_scripts_run(html):
    reader = Reader(html)
    running = [text for attributes, text in reader.scripts if "type" not in attributes]
    assert len(running) == len(page_files.SCRIPTS)
    sources = " ".join(f"'{page.csp_hash(one)}'" for one in running)
    policy = next(one["content"] for _, one in reader.tags if "http-equiv" in one)
    assert f"script-src {sources};" in policy
    digest = base64.b64encode(hashlib.sha256(running[0].encode()).digest()).decode()
    assert page.csp_hash(running[0]) == f"sha256-{digest}"
    assert "default-src 'none'" in policy


def test_every_figure_says_what_it_shows(html):
    reader = Reader(html)
    pictures = [one for tag, one in reader.tags if tag == "svg"]
    assert len(pictures) >= 8
    assert all(
        one["role"] == "img" and one["aria-labelledby"] and one["aria-describedby"]
        for one in pictures
    )
    assert "Confusion matrix: base<" in html


def test_same_data_same_bytes(html):
    assert page.render(make_data(), TEMPLATE) == html


def test_hostile_texts_stay_texts():
    data = make_data(count=2, text=HOSTILE)
    data.experiments = {HOSTILE: data.experiments["ex"], **data.experiments}
    data.examples = [answers_table(HOSTILE, HOSTILE, HOSTILE, data.scores["ex"]), *data.examples]
    data.metric_caveats = {(HOSTILE, HOSTILE): {HOSTILE: [HOSTILE]}}
    data.provenance = {HOSTILE: {HOSTILE: [HOSTILE]}}
    data.records = {HOSTILE: {"unusable": {HOSTILE: 1}, HOSTILE: HOSTILE}}
    data.costs = pd.DataFrame([(HOSTILE, HOSTILE, 1, 1, 1)], columns=COSTS)
    data.downloads = {HOSTILE: HOSTILE}
    data.confusions = {"news-r8": {"labels": [HOSTILE], "base": [[1]], "tuned": [[1]]}}
    data.controls = [dataclasses.replace(one, against=HOSTILE) for one in data.controls]
    data.metrics = {"rouge_l": {"title": HOSTILE, "signature": HOSTILE}}
    data.title = HOSTILE
    html = page.render(data, TEMPLATE)
    reader = Reader(html)
    assert len(reader.scripts) == 1 + len(page_files.SCRIPTS)
    assert not [text for _, text in reader.scripts if "alert" in text]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", html)
    assert "{{7*7}}" in reader.text
    assert "日本語" in reader.text
    assert "<script>alert(1)</script>" in reader.text


@pytest.mark.parametrize(
    "gone",
    ["controls", "behavior", "losses", "scores", "answer_words", "examples", "continuations",
     "confusions",
     "records", "costs", "provenance", "downloads", "metrics", "final_losses"],
)  # fmt: skip
def test_each_part_may_be_absent(gone, monkeypatch):
    monkeypatch.setattr(embed, "to_svg", lambda *_: "<svg></svg>")
    data = make_data(count=3)
    default = getattr(ReportData(data.facts, data.experiments), gone)
    setattr(data, gone, pd.DataFrame() if isinstance(default, pd.DataFrame) else default)
    reader = Reader(page.render(data, TEMPLATE))
    assert "helped on 2 of 3 tasks" in reader.text


def test_nothing_but_a_comparison():
    one = row(seeds=1, estimand="adapters", no_p="", seed_sd=None)
    data = ReportData([one], {"ex": experiment(seeds=[1])})
    text = Reader(page.render(data, TEMPLATE)).text
    assert "This adapter helped on instructions: rouge_l 0.12 to 0.61." in text
    assert "With one training seed" in text
    text = Reader(page.render(ReportData([], {}), TEMPLATE)).text
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
    view = tasks.published_view(published(), 0, "ex")
    assert texts(view["table"]) == [
        ["BLEU", "–", "50.93 (0.5093 × 100)", "3.2", "41.7"],
        ["ROUGE-L", "0.25", "0.6298", "0.12", "0.61"],
        ["exact_match", "–", "0.04", "–", "–"],
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
    view = tasks.published_view(data, 0, "ex")
    assert [row[3:] for row in texts(view["table"])] == [["–", "–"]] * 3


def test_unknown_numbers_leave_dashes():
    nothing = dict.fromkeys(
        ("base", "delta", "ci_low", "ci_high", "adapters_low", "adapters_high", "adapters_p",
         "adapters_p_holm", "detectable", "seed_sd")
    )  # fmt: skip
    data = ReportData([row(**nothing, no_p="not_finite")], {"ex": experiment()})
    text = Reader(page.render(data, TEMPLATE)).text
    assert "has no figure of the base model" in text
    assert not {"nan", "none.", "None"} & set(text.split())


def test_page_stays_light_with_many_long_texts():
    html = page.render(make_data(count=200, text="a long answer, word by word; " * 200), TEMPLATE)
    assert len(html.encode()) < 1_000_000
    assert "more characters are not on this page" in Reader(html).text


def test_downloads_carry_the_file_or_say_where_it_is():
    small, large = "a,b\n1,ü\n", "x,y\n" * 100_000
    views = downloads.view(ReportData([], {}, downloads={"large.csv": large, "small.csv": small}))
    assert [one["name"] for one in views] == ["large.csv", "small.csv"]
    assert views[0]["href"] is None
    encoded = views[1]["href"].removeprefix("data:text/csv;charset=utf-8;base64,")
    assert base64.b64decode(encoded).decode() == small


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


CSS = (TEMPLATE.parent / "style.css").read_text(encoding="utf-8")
COLORS = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", CSS)


def test_a_browser_without_two_schemes_has_the_colors_of_the_light_one():
    plain = dict(re.findall(r"^  --([\w-]+): (#[0-9a-f]{6});", CSS, re.MULTILINE))
    assert plain == {name: light for name, light, _ in COLORS}


@pytest.mark.parametrize("mode", [0, 1])
def test_colors_have_contrast_in_both_modes(mode):
    """WCAG 2.1: 4.5 to 1 for text, 3 to 1 for what a figure draws."""
    names = {name: pair[mode] for name, *pair in COLORS}

    def contrast(one, other):
        high, low = sorted((_luminance(names[one]), _luminance(names[other])), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for ground in ("paper", "card"):
        for text in ("ink", "muted", "gain", "loss", "tuned", "base"):
            assert contrast(text, ground) >= 4.5, (text, ground)
        for drawn in ("tuned", "loss", "base"):
            assert contrast(drawn, ground) >= 3, (drawn, ground)
    for text in ("ink", "muted", "gain", "loss"):
        assert contrast(text, "tint") >= 4.5, text
    assert contrast("ink", "loss-tint") >= 4.5


# --------------------------------------------------------------------------------------- upstream


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

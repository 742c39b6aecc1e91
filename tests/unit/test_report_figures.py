"""Figures: what is drawn is true, can be read in both themes, and no text is cut off."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltatune.report import captions, effects, numbers, times
from deltatune.report.data import ReportData
from deltatune.report.figures import (
    confusion,
    differences,
    embed,
    forest,
    lengths,
    losses,
    measure,
    svg,
    timeline,
)
from deltatune.report.figures.settings import LossesSettings
from deltatune.report.sections import costs as costs_section
from deltatune.report.sections import differences as differences_section
from deltatune.report.sections import losses as losses_section
from deltatune.report.sections import tasks
from made_reports import sweep
from test_compare_fact import a_fact

CSS = (Path(__file__).parents[2] / "report" / "style.css").read_text(encoding="utf-8")
NAMES = [
    "日本語のとても長い名前です" * 3,
    "שם-ארוך-מאוד-" * 4,
    "🦙🚀" * 15,
    "W" * 70,
    "a",
    "Sci/Tech",
]
JOBS = pd.DataFrame(
    [
        ("fetch_dataset", "a", 0.0, 10.0),
        ("train_adapter", "a", 10.0, 70.0),
        ("train_adapter", "b", 20.0, 80.0),
        ("compute_metrics", "a", 100_000.0, 100_030.0),
        ("a_rule_of_a_very_long_name_indeed", "a", 100_000.0, 100_030.0),
    ],
    columns=times.TIMES,
)


def curves(seeds=(1, 2), last=1.4) -> pd.DataFrame:
    rows = [
        (seed, step, step / 30, split, loss + seed / 100)
        for seed in seeds
        for split, values in {"train": (3.0, 2.0, 1.0), "validation": (3.1, 1.2, last)}.items()
        for step, loss in zip((0, 30, 1060), values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["seed", "step", "epoch", "split", "loss"])


def matrices(names) -> dict:
    draw = np.random.default_rng(0)
    counts = {s: draw.integers(0, 2000, (len(names),) * 2) / 3 for s in ("base", "tuned")}
    return {"labels": names, **counts}


def pairs(names, tasks) -> tuple[list, list]:
    own = [a_fact(experiment=name, task=tasks[0], metric="x" * 40) for name in names]
    others = [
        a_fact(experiment=name, task=task, higher_is_better=False, base=71234.5, tuned=9999.9,
               delta=71234.5 - 9999.9, ci_low=-80000.0, ci_high=1.0)
        for name in names for task in tasks[1:]
    ]  # fmt: skip
    return own, others


SPREAD = pd.DataFrame({"base": np.zeros(90_000), "tuned": np.linspace(-1, 2, 90_000)})
WORDS = pd.DataFrame({"reference": np.arange(9_000) % 50, "base": 7, "seed 1": range(9_000)})
DRAWN = {
    "forest": lambda: forest.plot(*pairs(NAMES, NAMES[:3])),
    "forest of a phone": lambda: forest.plot(*pairs(NAMES, NAMES[:3]), narrow=True),
    "forest of many": lambda: forest.plot(*pairs([f"{NAMES[3]}{n}" for n in range(24)], NAMES[:4])),
    "forest of many, phone": lambda: forest.plot(
        *pairs([f"{NAMES[0]}{n}" for n in range(24)], NAMES[:4]), narrow=True
    ),
    "losses": lambda: losses.plot(curves()),
    "losses of one seed": lambda: losses.plot(curves((1,), last=0.9)),
    "confusion": lambda: confusion.plot(matrices(NAMES), [1, 2, 3], ("tuned",)),
    "confusion, both": lambda: confusion.plot(matrices(NAMES), [1]),
    "confusion of 40": lambda: confusion.plot(
        matrices([f"{n} {NAMES[3]}" for n in range(40)]), range(9), ("base",)
    ),
    "differences": lambda: differences.plot(SPREAD, [1, 2, 3, 4], title=NAMES[3], unit="windows"),
    "differences, few": lambda: differences.plot(SPREAD.round(), [1], higher_is_better=False),
    "lengths": lambda: lengths.plot(WORDS, range(9)),
    "lengths without a reference": lambda: lengths.plot(WORDS.assign(reference=0) // 9_000, [1]),
    "timeline": lambda: timeline.plot(JOBS),
}
SVGS: dict[str, ET.Element] = {}


def picture(name: str) -> ET.Element:
    if name not in SVGS:
        SVGS[name] = ET.fromstring(embed.to_svg(DRAWN[name](), "Title", "Description", "a"))
    return SVGS[name]


def style(element: ET.Element) -> dict[str, str]:
    parts = (one.split(":") for one in (element.get("style") or "").split(";") if ":" in one)
    return {name.strip(): value.strip() for name, value in parts}


# ------------------------------------------------------------------------------------------ texts


def box(element: ET.Element) -> tuple[float, float, float, float]:
    """left, top, right, bottom of a text, as DejaVu Sans has it, which is wider than most fonts."""
    of = style(element)
    size = float(of["font-size"].removesuffix("px"))
    width = measure.width(element.text, size, of.get("font-weight", "normal"))
    turned = "rotate(-90" in element.get("transform", "")
    if element.get("x"):
        x, y = float(element.get("x")), float(element.get("y"))
    else:
        x, y = map(float, re.match(r"translate\((\S+) (\S+)\)", element.get("transform")).groups())
    left = x - {"start": 0.0, "middle": width / 2, "end": width}[of.get("text-anchor", "start")]
    if turned:
        below = y + x - left
        return x - 0.8 * size, below - width, x + 0.2 * size, below
    return left, y - 0.8 * size, left + width, y + 0.2 * size


@pytest.mark.parametrize("name", DRAWN)
def test_no_text_is_cut_off_and_none_lies_on_another(name):
    root = picture(name)
    width, height = map(float, root.get("viewBox").split()[2:])
    boxes = [(element.text, *box(element)) for element in root.iter("text") if element.text.strip()]
    for text, left, top, right, bottom in boxes:
        assert left >= -2 and right <= width + 2, (text, left, right, width)
        assert top >= -1 and bottom <= height + 1, (text, top, bottom, height)
    for place, (text, left, top, right, bottom) in enumerate(boxes):
        for other, left_2, top_2, right_2, bottom_2 in boxes[place + 1 :]:
            across = min(right, right_2) - max(left, left_2)
            down = min(bottom, bottom_2) - max(top, top_2)
            assert across <= 1 or down <= 1, (text, other)


def test_a_forest_of_24_experiments_is_no_taller_than_two_screens_of_a_phone():
    for name in ("forest of many", "forest of many, phone"):
        root = picture(name)
        assert float(root.get("height")) <= 1600
        rows = [element for element in root.iter("text") if "→" in element.text]
        # Two of them name the sides, one the column.
        assert len(rows) == forest.MOST + 2
        assert "72 more in the tables" in " ".join(element.text for element in root.iter("text"))


# ------------------------------------------------------------------------------------------ colors


def themes() -> dict[str, dict[str, str]]:
    """Theme → variable → color; that of print has what it does not set from the light one."""
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", CSS)
    light, dark = ({name: pair[place] for name, *pair in pairs} for place in (0, 1))
    paper = dict(re.findall(r"--([\w-]+): (#\w{6})", CSS[CSS.index("@media print") :]))
    assert len(light) > 8 and paper
    return {"light": light, "dark": dark, "print": light | paper}


def luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def over(color: str, ground: str, opacity: float) -> str:
    parts = [
        round(opacity * int(color[n : n + 2], 16) + (1 - opacity) * int(ground[n : n + 2], 16))
        for n in (1, 3, 5)
    ]
    return "#" + "".join(f"{part:02x}" for part in parts)


def resolved(value: str, theme: dict[str, str]) -> str | None:
    """The color of a fill or stroke in a theme; None for no color at all."""
    if value in ("", "none") or value.startswith("url("):
        return None
    if value == "currentColor":
        return theme["ink"]
    name = re.fullmatch(r"var\(--([\w-]+), #[0-9a-f]{6}\)", value)
    assert name, f"{value} is no color of the page"
    return theme[name.group(1)]


QUIET = ("rule", "card")
"""Lines behind the data, which carry no meaning of their own, and the inside of hollow markers."""


@pytest.mark.parametrize("theme", themes())
@pytest.mark.parametrize("name", DRAWN)
def test_texts_and_lines_have_contrast(name, theme):
    """WCAG 2.1: 4.5 to 1 for text (1.4.3), 3 to 1 for what a figure draws (1.4.11)."""
    colors = themes()[theme]
    for element in picture(name).iter():
        of = style(element)
        for ground in (colors["paper"], colors["card"]):
            if element.tag == "text":
                assert contrast(resolved(of["fill"], colors), ground) >= 4.5, element.text
                continue
            for kind in ("fill", "stroke"):
                value = of.get(kind, "")
                color = resolved(value, colors)
                # The shades of a matrix: its numbers say the same.
                if color is None or any(f"--{one}," in value for one in QUIET):
                    continue
                if kind == "fill" and "fill-opacity" in of:
                    continue
                painted = over(color, ground, float(of.get(f"{kind}-opacity", 1)))
                assert contrast(painted, ground) >= 3, (value, of)


def test_in_forced_colors_a_figure_has_colors_of_the_system():
    forced = CSS[CSS.index("@media (forced-colors: active)") :].partition("}")[0]
    of = dict(re.findall(r"--([\w-]+): (Canvas|CanvasText|LinkText|GrayText);", forced))
    used = re.findall(r"var\(--([\w-]+),", " ".join(embed.VARIABLES.values()))
    assert len(used) > 5 and set(used) <= set(of)


@pytest.mark.parametrize("theme", themes())
def test_numbers_can_be_read_on_the_darkest_shade_of_a_matrix(theme):
    colors = themes()[theme]
    for ground in (colors["paper"], colors["card"]):
        shade = over(colors["tuned"], ground, confusion.SHADE)
        assert contrast(colors["ink"], shade) >= 4.5


def test_the_contrast_test_sees_a_pale_line():
    assert contrast("#a3a9b0", "#fbfbfa") < 3 < contrast("#5c636b", "#fbfbfa")
    assert contrast(over("#0072b2", "#fbfbfa", 0.45), "#fbfbfa") < 3


# ------------------------------------------------------------------------------------------ frames


@pytest.mark.parametrize("name", DRAWN)
def test_figures_are_named_and_the_same_each_time(name, tmp_path):
    root = picture(name)
    assert root.get("role") == "img"
    assert [root[0].tag, root[1].tag] == ["title", "desc"]
    assert (root.get("aria-labelledby"), root.get("aria-describedby")) == ("a-title", "a-desc")
    again = embed.to_svg(DRAWN[name](), "Title", "Description", "a")
    assert again == ET.tostring(root, encoding="unicode")
    svg.save(DRAWN[name](), tmp_path / "a.svg")
    alone = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "var(" not in alone and "currentColor" not in alone
    assert "<text" in alone


# ------------------------------------------------------------------------------------------ effects


def test_an_effect_is_the_mean_over_the_standard_deviation_of_paired_differences():
    differences = np.random.default_rng(0).normal(0.3, 0.2, 50)
    spread = differences.std(ddof=1)
    fact = a_fact(
        delta=float(differences.mean()), item_se=spread / np.sqrt(50), clusters=50, n=50,
        ci_low=0.1, ci_high=0.4,
    )  # fmt: skip
    one = effects.effect(fact)
    assert not one.is_ratio
    assert one.value == pytest.approx(differences.mean() / spread)
    assert (one.low, one.high) == pytest.approx((0.1 / spread, 0.4 / spread))


def test_perplexity_is_a_log_ratio_whose_ends_turn():
    values = {"higher_is_better": False, "base": 80.0, "tuned": 40.0, "delta": -40.0}
    one = effects.effect(a_fact(**values, ci_low=-60.0, ci_high=40.0))
    assert one.is_ratio
    assert one.value == pytest.approx(np.log(2))
    assert (one.low, one.high) == pytest.approx((-np.log(1.5), np.log(4)))
    assert effects.effect(a_fact(**values, ci_low=-90.0, ci_high=-1.0)).high == np.inf


def test_without_a_standard_deviation_there_is_no_place():
    for missing in (None, 0.0):
        assert effects.effect(a_fact(item_se=missing)).value is None
    assert effects.effect(a_fact(item_se=0.0, delta=0.0, ci_low=None)).value == 0
    assert effects.effect(a_fact(delta=None)).value is None
    text = embed.to_svg(forest.plot([a_fact(item_se=None), a_fact(experiment="y")]))
    assert forest.UNKNOWN in text


def marks(picture: str) -> dict[str, int]:
    """How often each color fills something."""
    return {name: picture.count(f"fill: var(--{name},") for name in ("tuned", "loss", "card")}


def test_harm_on_other_tasks_is_drawn_beside_the_gain_on_the_own():
    harm = a_fact(task="other", delta=-0.3, ci_low=-0.4, ci_high=-0.2, tuned=-0.05)
    chance = a_fact(task="third", delta=0.0, ci_low=-0.1, ci_high=0.1, p_holm=0.9)
    alone = marks(embed.to_svg(forest.plot([a_fact()])))
    assert alone["tuned"] and not alone["loss"] and not alone["card"]
    text = embed.to_svg(forest.plot([a_fact()], [harm, chance]))
    assert marks(text)["loss"] and marks(text)["card"]
    assert "font-weight: 700" in text, "the own task"
    assert text.index(">t</text>") < text.index(">other</text>")


def test_only_main_metrics_have_rows_and_raw_figures_stand_beside():
    facts = [a_fact(), a_fact(metric="f1", main=False, p_holm=None)]
    text = embed.to_svg(forest.plot(facts, titles={"accuracy": "Accuracy"}))
    assert "Accuracy 0.25 → 0.85" in text and "f1" not in text


def test_of_many_pairs_the_best_and_the_worst_are_drawn():
    own = [a_fact(experiment=f"e{n}", delta=n / 50, tuned=n / 50) for n in range(-20, 21)]
    rows = forest._rows(own, [], 0.05)
    shown, left_out = forest.chosen(rows)
    assert left_out == 41 - forest.MOST
    deltas = [row.fact.delta for row in shown]
    assert deltas == sorted(deltas, reverse=True)
    assert {min(deltas), max(deltas)} == {-0.4, 0.4}


def test_what_lies_beyond_the_axis_is_an_arrow():
    far = a_fact(
        higher_is_better=False, base=1.0, tuned=1e6, delta=1e6 - 1, ci_low=1.0, ci_high=2e6
    )
    assert effects.effect(far).value < -forest.END
    ET.fromstring(embed.to_svg(forest.plot([far, a_fact(experiment="y")])))


def test_an_interval_that_goes_beyond_the_axis_says_so():
    """As the rough one of two seeds does, on both sides."""
    wide = a_fact(ci_low=-9.0, ci_high=9.0, adapters_low=0.5, adapters_high=0.7, estimand="recipe")
    one_side = a_fact(experiment="y", ci_low=-9.0)
    (axis,) = forest.plot([wide, one_side, a_fact(experiment="z")]).axes
    arrows = [
        (line.get_marker(), float(line.get_xdata()[0]))
        for line in axis.lines
        if line.get_marker() in ("<", ">")
    ]
    assert arrows == [("<", -forest.END), (">", forest.END), ("<", -forest.END)]


def test_a_forest_has_room_for_the_names_of_a_sweep():
    """Which differ at their ends and in their middle."""
    names = [f"mistral-7b-{task}-r{rank}-lr1e-4" for task in "ab" for rank in (8, 16, 32)]
    text = embed.to_svg(forest.plot([a_fact(experiment=name) for name in names]))
    assert all(name.removeprefix("mistral-7b") in text for name in names) and "(2)" not in text


def test_the_section_says_what_the_forest_shows():
    data = sweep(3)
    view = differences_section.view(data)
    roots = ET.fromstring(f"<figure>{view['svg']}</figure>")
    assert [one.get("class") for one in roots] == ["wide-page", "narrow-page"]
    described = roots[0].find("desc").text
    rows, rest = described.split(": ", 1)
    assert rows == "9 rows"
    assert sum(map(int, re.findall(r"(\d+) (?:better|worse|not shown)", rest))) == 9
    assert roots[1].find("desc").text == described
    assert "Cohen 1988" in " ".join(view["caption"])


def test_what_is_not_tested_is_neither_shown_nor_not_shown():
    untested = {"p_value": None, "p_holm": None, "no_p": "few_clusters", "family": 1}
    facts = [
        a_fact(family=1),
        a_fact(task="u", **untested),
        a_fact(task="v", base=None, **untested),
    ]
    data = ReportData(facts, {"x": {"task": "t", "seeds": [1, 2, 3]}})
    assert differences_section.description(data, facts).startswith(
        "3 rows: 1 better, 2 not tested."
    )
    assert "over 1 test on own tasks" in " ".join(differences_section.view(data)["caption"])


def test_a_row_without_an_interval_says_why():
    fact = a_fact(ci_low=None, ci_high=None, no_interval="few_differing")
    assert differences_section._without_interval(fact) == (
        "x on t has no interval: most examples score the same and fewer than 20 differ, too few "
        "for an interval."
    )
    assert differences_section._without_interval(a_fact()) == ""


# ------------------------------------------------------------------------------------------ losses


def test_the_lowest_validation_and_the_kept_step_are_told_and_drawn():
    points = losses.validation(curves((1,)))
    assert (points.lowest_step, points.kept_step) == (30, 1060)
    assert losses_section.points_in_words(points) == (
        "Validation is lowest, 1.210, at step 30; the adapter of the last step, 1,060, is kept, "
        "with 1.410."
    )
    same = losses.validation(curves((1,), last=0.5))
    assert "1,060, whose adapter is kept" in losses_section.points_in_words(same)
    assert "▽ lowest validation" in embed.to_svg(losses.plot(curves()))
    missing = curves()
    missing.loc[missing.index[-1], "loss"] = np.nan
    assert losses.validation(missing) is None
    assert "lowest" not in embed.to_svg(losses.plot(missing))


def test_base_train_and_validation_have_colors_and_dashes_of_their_own():
    text = embed.to_svg(losses.plot(curves()))
    lines = set(re.findall(r"(stroke-dasharray: [\d.,]+)?[^\"]*?stroke: var\(--(\w+),", text))
    dashes = {name: {dash for dash, other in lines if other == name} for _, name in lines}
    assert {"train", "tuned", "base"} <= set(dashes)
    bold = [style(one) for one in ET.fromstring(text).iter("path")]
    bold = {one["stroke"][6:11]: one.get("stroke-dasharray") for one in bold
            if one.get("stroke-width") in ("2.2", "1.1")}  # fmt: skip
    assert len(set(bold.values())) == 3, bold


# ------------------------------------------------------------------------------------------ spread


def test_wins_ties_and_losses_are_counted_on_their_sides():
    scores = pd.DataFrame({"base": [0.0] * 6, "tuned": [1, 1, 1, 0, -1, -1.0]})
    higher = embed.to_svg(differences.plot(scores, [1]))
    assert "← 2 worse" in higher and "1 unchanged" in higher and "3 better →" in higher
    lower = embed.to_svg(differences.plot(scores, [1], higher_is_better=False))
    assert "← 2 better" in lower and "3 worse →" in lower


# ----------------------------------------------------------------------------------------- lengths


def test_no_answer_is_lost_and_those_beyond_the_axis_are_in_its_last_bar():
    words = pd.DataFrame(
        {"reference": [2] * 200, "base": [0, 900] + [5] * 198, "seed 1": 3, "seed 2": [4, 1] * 100}
    )
    assert lengths.edges(words).tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert {name: one.tolist() for name, one in lengths.counts(words).items()} == {
        "reference": [0, 0, 200, 0, 0, 0],
        "base": [1, 0, 0, 0, 0, 199],
        "tuned": [0, 50, 0, 100, 50, 0],
    }
    assert lengths.beyond(words) == 5 and lengths.beyond(words.clip(upper=5)) is None
    assert lengths.medians(words) == {"reference": 2, "base": 5, "tuned": 2.75}


def test_bars_begin_at_no_answer():
    """Of the reference too, which is not filled and may have answers of each length."""
    for axis in lengths.plot(WORDS, [1]).axes:
        assert axis.get_ylim()[0] == 0 and axis.get_yticks()[0] == 0


def test_the_figure_of_lengths_says_what_the_table_of_behavior_says():
    data = sweep(1, cross=False)
    (name,) = data.experiments
    behavior = data.behavior[name, "instructions"]
    view = tasks.lengths_view(data, 0, name)
    root = ET.fromstring(view["svg"])
    titles = [one.text for one in root.iter("text") if "median" in one.text]
    assert titles == [
        f"{system}: median {numbers.format_count_mean(figure)}"
        for system, figure in {
            "reference": behavior["base"]["reference_words_median"],
            "base": behavior["base"]["words_median"],
            "tuned, mean over seeds 1, 2, 3": behavior["tuned"]["words_median"],
        }.items()
    ]
    shares = [numbers.format_share(behavior[one]["truncated_share"]) for one in ("base", "tuned")]
    assert (
        f"Cut off before they ended by themselves are {shares[0]} of base and {shares[1]} of"
        in (view["caption"])
    )
    data.behavior = {}
    assert "Cut off" not in tasks.lengths_view(data, 0, name)["caption"]
    assert tasks.lengths_view(sweep(2, cross=False), 1, "novel-qlora") is None


# --------------------------------------------------------------------------------------- confusion


def test_of_many_labels_those_with_the_most_errors_are_drawn_and_no_count_is_lost():
    many = matrices([f"label {n}" for n in range(30)])
    few = confusion.joined(many)
    assert len(few["labels"]) == confusion.MOST
    assert few["labels"][-1] == "19 others"
    for system in ("base", "tuned"):
        assert few[system].sum() == pytest.approx(np.sum(many[system]))
    place = many["labels"].index(few["labels"][0])
    assert few["base"][0, 0] == many["base"][place, place]
    small = matrices(["a", "b"])
    assert confusion.joined(small)["base"].tolist() == small["base"].tolist()


def test_a_matrix_is_described_by_its_diagonal_and_its_largest_error():
    counts = {"labels": ["a", "b"], "base": [[3, 4], [0, 5]], "tuned": np.eye(2)}
    assert confusion.described(counts, "base") == (
        "12 texts, 8 of them on the diagonal; most often confused: a taken for b, 4."
    )
    assert confusion.described(counts, "tuned") == "2 texts, 2 of them on the diagonal."


# -------------------------------------------------------------------------------------------- time


def test_idle_hours_are_cut_and_told():
    clock = times.clock(JOBS)
    assert len(clock.idle) == 1
    assert clock.span == pytest.approx(80 + 0.1 * 110 + 30)
    assert clock.read(clock.start) == 0
    assert clock.read(70.0) == 70
    view = costs_section.timeline_view(JOBS)
    assert "a dashed line 27 h 45 min without a job are left out" in view["caption"]
    assert "27 h 47 min from the start" in view["caption"]
    short = times.clock(JOBS.iloc[:3])
    assert short.idle == () and short.span == 80


def test_jobs_that_ran_at_once_lie_in_lanes():
    assert times.lanes([(0, 2), (1, 3), (2, 4), (5, 6)]) == [0, 1, 0, 0]
    assert times.lanes([]) == []


# ---------------------------------------------------------------------------------------- captions


def test_the_page_and_snakemake_have_one_caption():
    settings = LossesSettings(experiment="a_b", seeds=[1, 2])
    text = captions.joined("losses", settings)
    assert text.startswith("Loss of a_b in nats") and "`" not in text
    assert "Thin lines are seeds 1, 2" in text

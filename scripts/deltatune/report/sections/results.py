"""The headline table: every metric of every pair, base against tuned, and how it was made.

great_tables builds the structure (row groups, header cells with scope). Its colors, black on white,
stay out of the page, whose own style sheet speaks to the same class names.
"""

from collections.abc import Sequence

import pandas as pd
from great_tables import GT, loc, style
from markupsafe import Markup

from deltatune.compare.fact import Fact
from deltatune.compare.reasons import Missing, codes
from deltatune.report import numbers, outcomes, pairs, upstream
from deltatune.report.data import ReportData
from deltatune.report.outcomes import Outcome
from deltatune.report.sections import behavior
from deltatune.report.text import clean
from deltatune.report.words import phrases, sentences

NAME, TITLE = "results", "Results"

COLORS = {Outcome.IMPROVED: "var(--gain)", Outcome.WORSENED: "var(--loss)"}
COLUMNS = (
    *("group", "metric", "base", "tuned", "delta", "outcome", "interval", "p", "adapters"),
    *("seed_sd", "main"),
)
MAIN, SECONDARY = "★", "†"


def view(data: ReportData) -> dict:
    """The table as markup, its notes, family and methods, how systems answer, and the sentences
    pair by pair; nothing of it where nothing was compared, which the section says."""
    if not data.facts:
        return {"table": None}
    frame = headline_frame(data)
    return {
        "badges": phrases.BADGES,
        "behavior": behavior.view(data),
        "pairs": sentences.pair_by_pair(data),
        "anchors": pairs.anchors(data),
        "table": headline_html(frame, data),
        "notes": notes(frame, data),
        "family": family(data),
        "methods": methods(data),
    }


def headline_frame(data: ReportData) -> pd.DataFrame:
    """The cells of the headline table as text: one row for each metric of a pair, main first, then
    one for each plain baseline.

    Columns: COLUMNS; outcome: an Outcome; main: bool.
    """
    controls = {pair[0].pair: pair for pair in outcomes.by_pair(data.controls)}
    rows = []
    for pair in outcomes.by_pair(data.facts):
        group = group_label(data, pair[0])
        rows += [_cells(data, fact, group) for fact in pair]
        rows += [_baseline_cells(data, one, group) for one in controls.get(pair[0].pair, [])]
    return pd.DataFrame(rows, columns=COLUMNS)


def _cells(data: ReportData, fact: Fact, group: str) -> dict:
    decimals = data.decimals(fact)
    change = numbers.format_signed(fact.delta, decimals)
    if percent := numbers.percent_change(fact):
        change += f" ({percent})"
    title = clean(data.metric_title(fact.metric))
    direction = "" if fact.higher_is_better else " ↓"
    return {
        "group": group,
        "metric": f"{title}{direction} {MAIN if fact.main else SECONDARY}",
        "base": numbers.format_number(fact.base, decimals),
        "tuned": numbers.format_number(fact.tuned, decimals),
        "delta": change,
        "interval": numbers.format_interval(fact.ci_low, fact.ci_high, decimals),
        "p": _p(fact),
        "adapters": numbers.NOTHING if fact.seeds == 1 else _adapters(fact, decimals),
        "seed_sd": numbers.format_number(fact.seed_sd, decimals + 1),
        "outcome": data.outcome(fact),
        "main": fact.main,
    }


def _baseline_cells(data: ReportData, fact: Fact, group: str) -> dict:
    """In the column of the base stands the baseline's figure."""
    baseline = phrases.in_a_sentence(data.baseline_title(fact.against))
    title = clean(f"{data.metric_title(fact.metric)} against {baseline}")
    return {**_cells(data, fact, group), "metric": title, "seed_sd": numbers.NOTHING, "main": False}


def _p(fact: Fact) -> str:
    """The p-value of the estimand, or in a word why there is none."""
    if fact.no_p:
        return phrases.NO_P[codes(fact.no_p)[0]]
    p = fact.p_value if fact.p_holm is None else fact.p_holm
    return numbers.format_p(p, fact.p_is_floor).removeprefix("= ")


def _adapters(fact: Fact, decimals: int) -> str:
    """'0.46 to 0.52; p ≤ 0.0003'."""
    p = fact.adapters_p if fact.adapters_p_holm is None else fact.adapters_p_holm
    interval = numbers.format_interval(fact.adapters_low, fact.adapters_high, decimals)
    if p is None:
        return interval
    return f"{interval}; p {numbers.format_p(p, fact.adapters_p_is_floor)}"


def group_label(data: ReportData, fact: Fact) -> str:
    """'experiment: model on task, 200 windows in 5 chapters, mean over 3 seeds'."""
    seeds = "1 seed" if fact.seeds == 1 else f"mean over {fact.seeds} seeds"
    return clean(f"{fact.experiment}: {fact.model} on {fact.task}, {phrases.sample(fact)}, {seeds}")


def headline_html(frame: pd.DataFrame, data: ReportData) -> Markup:
    """headline_frame's table as markup without a style sheet of its own; cells are escaped."""
    results, main = frame["outcome"], frame["main"]
    frame = frame.drop(columns="main").assign(
        outcome=[phrases.BADGES[result] for result in results]
    )
    if not has_p(data):
        frame = frame.drop(columns="p")
    for column in ("adapters", "seed_sd"):
        if (frame[column] == numbers.NOTHING).all():
            frame = frame.drop(columns=column)
    numeric = [name for name in frame.columns if name not in ("group", "metric", "outcome")]
    interval = numbers.interval_name(data.confidence)
    seeds = {fact.seeds for fact in data.facts}
    labels = {
        "base": "Base",
        "tuned": "Tuned",
        "delta": "Difference",
        "interval": interval[0].upper() + interval[1:] + (", rough" if seeds == {2} else ""),
        "p": "p (Holm)",
        "adapters": "Of these adapters alone",
        "seed_sd": "Seed SD",
        "outcome": "Outcome",
    }
    table = (
        GT(frame, id="headline", rowname_col="metric", groupname_col="group")
        .tab_stubhead("Metric")
        .cols_label({name: labels[name] for name in [*numeric, "outcome"]})
        .cols_align("right", columns=numeric)
        .cols_align("left", columns="outcome")
    )
    strong = [index for index, flag in enumerate(main) if flag]
    if strong:
        bold = style.css("font-weight:600")
        table = table.tab_style(bold, [loc.body(numeric, strong), loc.stub(strong)])
    for index, (result, flag) in enumerate(zip(results, main, strict=True)):
        badge = f"color:{COLORS.get(result, 'inherit')};font-weight:{600 if flag else 400}"
        table = table.tab_style(style.css(badge), loc.body("outcome", [index]))
    return Markup(upstream.bare_table(table.as_raw_html()))


def has_p(data: ReportData) -> bool:
    """Whether a row has a p-value of its estimand."""
    return any(fact.p_value is not None for fact in [*data.facts, *data.controls])


def notes(frame: pd.DataFrame, data: ReportData) -> str:
    """What a reader of headline_frame's table needs to know, no more than what it uses."""
    seeds = {fact.seeds for fact in data.facts}
    sentences = [f"{MAIN} main metric of the task."]
    if frame["metric"].str.endswith(SECONDARY).any():
        sentences.append(f"{SECONDARY} secondary: p-value and outcome are not adjusted.")
    if frame["metric"].str.contains(" ↓").any():
        sentences.append("↓ lower is better.")
    if data.controls:
        sentences.append(
            "Rows with “against” compare tuned with a plain baseline, whose figure stands in the "
            "column Base; each is tested at the full level."
        )
    what = "Interval and p are" if has_p(data) else "The interval is"
    if seeds == {1}:
        sentences.append(f"{what} of this one adapter, over other test records.")
    else:
        sentences.append(
            f"{what} of the recipe, over other test records and training seeds. Farther right "
            "stands what holds for these adapters alone, over other test records."
        )
    if 2 in seeds:
        sentences.append(
            "With two seeds the recipe has no p-value and its interval is rough: an outcome is of "
            "these two adapters, and the rough interval must leave out zero as well."
        )
    every = {code: None for fact in data.facts for code in codes(fact.no_p)}
    missing = "; ".join(code.words for code in every if code is not Missing.TWO_SEEDS)
    if missing and not has_p(data):
        sentences.append(f"No row has a p-value: {missing}.")
    if (frame["seed_sd"] != numbers.NOTHING).any():
        sentences.append("Seed SD: standard deviation of the tuned figure over training seeds.")
    return " ".join(sentences)


def family(data: ReportData) -> str:
    """Which rows are tested together."""
    own, cross_task = (
        _family(outcomes.main_facts(facts)) for facts in (data.own_facts(), data.cross_task_facts())
    )
    text = f"Holm's correction counts {numbers.plural(own, 'main comparisons')} of comparison.csv"
    if data.cross_task_facts():
        text += f"; cross-task pairs are a second family of {cross_task}"
    if any(not fact.main for fact in data.facts):
        text += "; secondary rows are unadjusted"
    return f"{text}."


def _family(facts: Sequence[Fact]) -> int:
    return max((fact.family for fact in facts), default=0)


def methods(data: ReportData) -> list[dict]:
    """How each metric is made and how it was tested, each once."""
    result = []
    for metric in dict.fromkeys(fact.metric for fact in data.facts):
        tested = [fact.method for fact in data.facts if fact.metric == metric and fact.method]
        result.append(
            {
                "title": data.metric_title(metric),
                "signature": data.metrics.get(metric, {}).get("signature", ""),
                "tested": list(dict.fromkeys(tested)),
            }
        )
    return [one for one in result if one["signature"] or one["tested"]]

"""The headline table: every metric of every pair, base against tuned, and how it was made.

great_tables builds the structure (row groups, header cells with scope). Its colors, black on white,
stay out of the page, whose own style sheet speaks to the same class names.
"""

from collections.abc import Mapping

import pandas as pd
from great_tables import GT, loc, style
from markupsafe import Markup

from deltatune.report import numbers, outcomes, upstream
from deltatune.report.data import ReportData
from deltatune.report.outcomes import Outcome
from deltatune.report.text import clean

BADGES = {
    Outcome.IMPROVED: "▲ better",
    Outcome.WORSENED: "▼ worse",
    Outcome.UNDETECTED: "○ not detected",
    Outcome.UNKNOWN: "? unknown",
}
COLORS = {Outcome.IMPROVED: "var(--gain)", Outcome.WORSENED: "var(--loss)"}
COLUMNS = (
    *("group", "metric", "base", "tuned", "delta", "interval", "p", "seed_sd", "outcome", "main"),
)


def view(data: ReportData) -> dict | None:
    """The table as markup, its notes and methods; None where nothing was compared."""
    if data.comparison.empty:
        return None
    frame = headline_frame(data)
    return {
        "table": headline_html(frame, data.confidence),
        "notes": notes(frame),
        "methods": methods(data),
    }


def headline_frame(data: ReportData) -> pd.DataFrame:
    """The cells of the headline table as text, one row for each metric of a pair, main first.

    Columns: COLUMNS; outcome: an Outcome; main: bool. A p-value that no Holm correction covers
    carries a dagger.
    """
    rows = []
    for _, pair in data.comparison.groupby(["experiment", "task"], sort=False):
        main = outcomes.main_metric(pair, data.experiments)
        ordered = sorted(pair.to_dict("records"), key=lambda row: row["metric"] != main)
        group = group_label(data, ordered[0])
        rows += [_cells(data, row, group, row["metric"] == main) for row in ordered]
    return pd.DataFrame(rows, columns=COLUMNS)


def _cells(data: ReportData, row: Mapping, group: str, main: bool) -> dict:
    detail = outcomes.detail_of(data.details, row)
    decimals = numbers.decimals_for(row)
    p, holm = outcomes.adjusted_p(row)
    several_seeds = numbers.finite(detail.get("seeds")) and detail["seeds"] > 1
    change = numbers.format_signed(row["delta"], decimals)
    if percent := numbers.percent_change(row):
        change += f" ({percent})"
    arrow = "" if numbers.is_true(row["higher_is_better"]) else " ↓"
    return {
        "group": group,
        "metric": clean(data.metric_title(row["metric"])) + arrow + (" ★" if main else ""),
        "base": numbers.format_number(row["base"], decimals),
        "tuned": numbers.format_number(row["tuned"], decimals),
        "delta": change,
        "interval": numbers.format_interval(row["ci_low"], row["ci_high"], decimals),
        "p": numbers.format_p(p, data.resamples) + ("" if holm or p is None else " †"),
        "seed_sd": numbers.format_number(
            detail.get("seed_sd") if several_seeds else None, decimals + 1
        ),
        "outcome": outcomes.outcome(row, data.confidence),
        "main": main,
    }


def group_label(data: ReportData, row: Mapping) -> str:
    """'experiment: model on task, 200 examples, 3 seeds'."""
    experiment = data.experiments.get(row["experiment"], {})
    detail = outcomes.detail_of(data.details, row)
    parts = [f"{row['experiment']}: {experiment.get('model', 'tuned')} on {row['task']}"]
    if numbers.finite(row.get("n")):
        unit = detail.get("unit") or experiment.get("unit", "examples")
        if experiment.get("unit") == "windows" and unit == "chapters":
            unit = "windows"
        parts.append(numbers.plural(round(float(row["n"])), unit))
    if numbers.finite(detail.get("seeds")):
        parts.append(numbers.plural(round(float(detail["seeds"])), "seeds"))
    return clean(", ".join(parts))


def headline_html(frame: pd.DataFrame, confidence: float) -> Markup:
    """headline_frame's table as markup without a style sheet of its own; cells are escaped."""
    codes, main = frame["outcome"], frame["main"]
    frame = frame.drop(columns="main").assign(outcome=[BADGES[code] for code in codes])
    if (frame["seed_sd"] == numbers.NOTHING).all():
        frame = frame.drop(columns="seed_sd")
    numeric = [name for name in frame.columns if name not in ("group", "metric", "outcome")]
    labels = {
        "base": "Base",
        "tuned": "Tuned",
        "delta": "Difference",
        "interval": numbers.interval_name(confidence),
        "p": "p (Holm)",
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
    for index, (code, flag) in enumerate(zip(codes, main, strict=True)):
        badge = f"color:{COLORS.get(code, 'inherit')};font-weight:{600 if flag else 400}"
        table = table.tab_style(style.css(badge), loc.body("outcome", [index]))
    return Markup(upstream.bare_table(table.as_raw_html()))


def notes(frame: pd.DataFrame) -> str:
    """What a reader of headline_frame's table needs to know, no more than what it uses."""
    sentences = ["★ main metric of the task."]
    if frame["metric"].str.contains("↓").any():
        sentences.append("↓ lower is better.")
    if frame["p"].str.contains("†").any():
        sentences.append("† not adjusted: outside the family of headline comparisons.")
    if (frame["seed_sd"] != numbers.NOTHING).any():
        sentences.append("Seed SD: standard deviation of the tuned value over training seeds.")
    return " ".join(sentences)


def methods(data: ReportData) -> list[dict]:
    """How each metric is made and how it was tested, each once."""
    result = []
    for metric in dict.fromkeys(data.comparison["metric"]):
        tested = []
        if "method" in data.details:
            rows = data.details[data.details["metric"] == metric]
            tested = [text for text in dict.fromkeys(rows["method"]) if isinstance(text, str)]
        result.append(
            {
                "title": data.metric_title(metric),
                "signature": data.metrics.get(metric, {}).get("signature", ""),
                "tested": tested,
            }
        )
    return [one for one in result if one["signature"] or one["tested"]]

"""The headline table: every metric of every pair, base against tuned.

great_tables builds the structure (row groups, header cells with scope, footnotes). Its style sheet
writes black on white, which no dark mode can turn: it is cut out, and the page's own style sheet
speaks to the same class names.
"""

import re
from collections.abc import Mapping

import pandas as pd
from great_tables import GT, loc, style

from deltatune.report import verdict
from deltatune.report.examples import clean

OUTCOMES = {
    "improved": "▲ better",
    "worsened": "▼ worse",
    "undetected": "○ not detected",
    "unknown": "? unknown",
}
COLORS = {"improved": "var(--gain)", "worsened": "var(--loss)"}


def headline_frame(
    comparison: pd.DataFrame,
    details: pd.DataFrame,
    experiments: Mapping,
    metrics: Mapping,
    resamples: int | None = None,
    confidence: float = verdict.CONFIDENCE,
) -> pd.DataFrame:
    """The cells of the headline table as text, one row a metric of a pair, main metric first.

    Columns: group, metric, base, tuned, delta, interval, p, seed_sd, outcome (the code of
    verdict.outcome), main (bool). A p value that no Holm correction covers carries a dagger.
    """
    rows = []
    for _, pair in comparison.groupby(["experiment", "task"], sort=False):
        main = verdict.main_metric(pair, experiments)
        ordered = sorted(pair.to_dict("records"), key=lambda row: row["metric"] != main)
        for row in ordered:
            detail = verdict.detail_of(details, row)
            decimals = verdict.decimals_for(row)
            p, holm = verdict.adjusted_p(row)
            seeded = verdict.finite(detail.get("seeds")) and detail["seeds"] > 1
            percent = verdict.percent_change(row)
            change = verdict.format_signed(row["delta"], decimals)
            if percent is not None:
                digits = 0 if abs(percent) >= 1 else 1
                change += f" ({verdict.format_signed(percent, digits)}%)"
            title = metrics.get(row["metric"], {}).get("title", row["metric"])
            arrow = "" if verdict.is_true(row["higher_is_better"]) else " ↓"
            rows.append(
                {
                    "group": group_label(ordered[0], details, experiments),
                    "metric": clean(title) + arrow + (" ★" if row["metric"] == main else ""),
                    "base": verdict.format_number(row["base"], decimals),
                    "tuned": verdict.format_number(row["tuned"], decimals),
                    "delta": change,
                    "interval": verdict.format_interval(row["ci_low"], row["ci_high"], decimals),
                    "p": verdict.format_p(p, resamples) + ("" if holm or p is None else " †"),
                    "seed_sd": verdict.format_number(
                        detail.get("seed_sd") if seeded else None, decimals + 1
                    ),
                    "outcome": verdict.outcome(row, confidence),
                    "main": row["metric"] == main,
                }
            )
    columns = [
        *("group", "metric", "base", "tuned", "delta", "interval", "p", "seed_sd"),
        *("outcome", "main"),
    ]
    return pd.DataFrame(rows, columns=columns)


def group_label(row: Mapping, details: pd.DataFrame, experiments: Mapping) -> str:
    """'experiment: model on task, 200 examples, 3 seeds'."""
    experiment = experiments.get(row["experiment"], {})
    detail = verdict.detail_of(details, row)
    parts = [f"{row['experiment']}: {experiment.get('model', 'tuned')} on {row['task']}"]
    if verdict.finite(row.get("n")):
        unit = detail.get("unit") or experiment.get("unit", "examples")
        if experiment.get("unit") == "windows" and unit == "chapters":
            unit = "windows"
        parts.append(verdict.plural(round(float(row["n"])), unit))
    if verdict.finite(detail.get("seeds")):
        parts.append(verdict.plural(round(float(detail["seeds"])), "seeds"))
    return clean(", ".join(parts))


def headline(
    comparison: pd.DataFrame,
    details: pd.DataFrame,
    experiments: Mapping,
    metrics: Mapping,
    resamples: int | None = None,
    confidence: float = verdict.CONFIDENCE,
) -> GT:
    """The headline table as a great_tables object; see headline_frame for what its cells say."""
    frame = headline_frame(comparison, details, experiments, metrics, resamples, confidence)
    codes, main = frame.pop("outcome"), frame.pop("main")
    frame["outcome"] = [OUTCOMES[code] for code in codes]
    if (frame["seed_sd"] == verdict.NOTHING).all():
        frame = frame.drop(columns="seed_sd")
    numbers = [name for name in frame.columns if name not in ("group", "metric", "outcome")]
    labels = {
        "base": "Base",
        "tuned": "Tuned",
        "delta": "Difference",
        "interval": verdict.interval_name(confidence),
        "p": "p (Holm)",
        "seed_sd": "Seed SD",
        "outcome": "Outcome",
    }
    table = (
        GT(frame, id="headline", rowname_col="metric", groupname_col="group")
        .tab_stubhead("Metric")
        .cols_label({name: labels[name] for name in [*numbers, "outcome"]})
        .cols_align("right", columns=numbers)
        .cols_align("left", columns="outcome")
    )
    strong = [index for index, flag in enumerate(main) if flag]
    if strong:
        bold = style.css("font-weight:600")
        table = table.tab_style(bold, [loc.body(numbers, strong), loc.stub(strong)])
    # One style a cell: a second one would be a second attribute, which browsers drop.
    for index, (code, flag) in enumerate(zip(codes, main, strict=True)):
        paint = f"color:{COLORS.get(code, 'inherit')};font-weight:{600 if flag else 400}"
        table = table.tab_style(style.css(paint), loc.body("outcome", [index]))
    return table


def notes(frame: pd.DataFrame) -> str:
    """What a reader of headline_frame's table needs to know, no more than what it uses."""
    said = ["★ judges the task."]
    if frame["metric"].str.contains("↓").any():
        said.append("↓ lower is better.")
    if frame["p"].str.contains("†").any():
        said.append("† not adjusted: outside the family of headline comparisons.")
    if (frame["seed_sd"] != verdict.NOTHING).any():
        said.append("Seed SD: standard deviation of the tuned value over training seeds.")
    return " ".join(said)


def headline_html(*arguments, **settings) -> str:
    """The headline table as markup without a style sheet of its own; cells are escaped."""
    markup = headline(*arguments, **settings).as_raw_html()
    markup = re.sub(r"<style>.*?</style>\s*", "", markup, count=1, flags=re.DOTALL)
    markup = re.sub(r'<div id="headline"[^>]*>', '<div id="headline">', markup, count=1)
    markup = re.sub(r' data-quarto-[a-z-]+="[^"]*"', "", markup)
    return markup.replace("\n\n", "\n").strip()

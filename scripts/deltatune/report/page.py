"""The page: plain data in, one HTML text out.

The page needs nothing but itself: no network, no font, no script from elsewhere. Every text in it
passes Jinja's autoescape or markupsafe, and a content security policy lets no script run but its
own. The same data make the same bytes: there is no date, no random id, no order left to chance.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from deltatune.compare.table import COLUMNS
from deltatune.core.errors import UserError
from deltatune.core.text import file_size
from deltatune.core.version import __version__
from deltatune.report import examples, figures, tables, verdict
from deltatune.report.examples import SHOWN

DOWNLOADS_BUDGET = 250_000
"""Bytes of CSV text that the page carries; what is beyond lies beside the report."""

DETAILS = ["experiment", "task", "metric"]
LOSSES = ["experiment", "seed", "step", "epoch", "split", "loss"]
FINAL_LOSSES = ["experiment", "seed", "split", "base", "tuned"]
COSTS = ["stage", "name", "seconds", "peak_memory_gb", "tokens_per_second"]


def _empty(columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns=columns)


@dataclass
class ReportData:
    """All that the page shows. Only `comparison` and `experiments` are needed.

    What is absent is left out of the page, or named as missing where a reader would look for it.
    """

    comparison: pd.DataFrame
    """results/comparison.csv: the columns of `compare.table`, one row for each metric of an
    experiment on a task. delta = tuned - base; tuned = mean over seeds; NaN where a number is not
    known."""

    experiments: dict[str, dict]
    """name → {task, kind (in words), outputs, unit, model, quantization, main_metric,
    settings: {"lora": {…}, "training": {…}} (any nesting), seeds: [int, …], and perhaps
    published: {source, metrics: {metric: {base, tuned, scale}}, differs: [sentence, …]}}"""

    metrics: dict[str, dict] = field(default_factory=dict)
    """metric → {title, signature}; a metric that is absent goes by its name."""

    details: pd.DataFrame = field(default_factory=lambda: _empty(DETAILS))
    """experiment, task, metric + seeds (how many), seed_sd, detectable (the smallest difference
    that the test could have seen), unit (what was resampled: "examples", "windows", "chapters"),
    clusters (how many of them), method (the test in words). Any may be NaN."""

    losses: pd.DataFrame = field(default_factory=lambda: _empty(LOSSES))
    """split: "train" | "validation"; loss: nats a token, weighted by tokens; step 0: untuned."""

    final_losses: pd.DataFrame = field(default_factory=lambda: _empty(FINAL_LOSSES))
    """The loss before and after tuning, as above."""

    scores: dict[str, pd.DataFrame] = field(default_factory=dict)
    """experiment → id, base, tuned: the main metric of each example or window (tuned: mean over
    seeds), on the experiment's own task."""

    examples: dict[str, pd.DataFrame] = field(default_factory=dict)
    """experiment → id, prompt, reference, base, tuned (texts; tuned by the first seed),
    base_score, tuned_score (NaN where there is none)."""

    continuations: dict[str, pd.DataFrame] = field(default_factory=dict)
    """experiment → prompt, base, tuned (texts)."""

    confusions: dict[str, dict] = field(default_factory=dict)
    """experiment → {"labels": K names, "base": K×K counts, "tuned": K×K counts}, rows = true."""

    baselines: dict[str, dict] = field(default_factory=dict)
    """task → {name of a plain baseline: {metric: value, …, ci_low, ci_high (of the main one)}};
    what is not a number is not shown."""

    data: dict[str, dict] = field(default_factory=dict)
    """task → counts: rows, kept, rejected {reason: n}, duplicates, near_duplicates,
    splits {split: n}, truncated, padding_share (0 to 1), supervised_tokens; any may be absent,
    and other keys are shown under their own names."""

    costs: pd.DataFrame = field(default_factory=lambda: _empty(COSTS))
    """One row a job; peak_memory_gb and tokens_per_second may be NaN."""

    provenance: dict = field(default_factory=dict)
    """Versions, commit, digests, seeds: a dict of values, lists and dicts. A text under "hardware"
    (or "machine") is also said at the top of the page."""

    caveats: list[str] = field(default_factory=list)
    """What a reader must know; the page adds what the numbers themselves give away."""

    downloads: dict[str, str] = field(default_factory=dict)
    """file name → CSV text, offered as a link; largest ones last to be carried (see BUDGET)."""

    resamples: int | None = None
    """Permutations behind each p value (B): nothing below 1 / (B + 1) is written as a number."""

    confidence: float = verdict.CONFIDENCE
    """Of every interval; 1 - confidence is the level at which a difference counts as shown."""

    shown: int = SHOWN
    """Examples of an experiment that the page shows at most."""

    title: str = "What tuning changed"


def render(data: ReportData, template: Path) -> str:
    """The report as one HTML text.

    template: page.html.j2; style.css lies beside it
    Raises UserError where the comparison lacks a column.
    """
    missing = [name for name in COLUMNS if name not in data.comparison.columns]
    if missing:
        raise UserError(
            f"The comparison table lacks the column {', '.join(missing)}: the report cannot be "
            "made. Delete results/comparison.csv and run again."
        )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(template).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else _text(value),
    )
    environment.filters["csp_hash"] = csp_hash
    environment.filters["json_island"] = json_island
    environment.globals["version"] = __version__
    text = environment.get_template(Path(template).name).render(context(data))
    return text if text.endswith("\n") else text + "\n"


def _text(value):
    """Whatever a template writes, made visible; autoescape follows."""
    return examples.clean(value) if isinstance(value, str) else value


def csp_hash(script: str) -> str:
    """The source expression that lets just this inline script run."""
    digest = hashlib.sha256(str(script).encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()


def json_island(value) -> Markup:
    """Data for the page's script, with nothing in it that could end its element."""
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def summarize(data: ReportData) -> verdict.Summary:
    """The words at the head of the page."""
    return verdict.summarize(
        data.comparison,
        data.details,
        data.experiments,
        data.metrics,
        data.baselines,
        data.resamples,
        data.confidence,
    )


def context(data: ReportData) -> dict:
    """Everything that the template reads."""
    numbers = (
        data.comparison,
        data.details,
        data.experiments,
        data.metrics,
        data.resamples,
        data.confidence,
    )
    summary = summarize(data)
    shown = {
        name: examples.choose(frame, _higher(data, name), data.shown)
        for name, frame in data.examples.items()
        if name in data.experiments and len(frame)
    }
    keep = examples.kept_for(shown, ["prompt", "reference", "base", "tuned"])
    views = [
        example_view(data, number, name, shown[name], keep)
        for number, name in enumerate(n for n in data.experiments if n in shown)
    ]
    return {
        "title": data.title,
        "subtitle": subtitle(data),
        "summary": summary,
        "headline": Markup(tables.headline_html(*numbers)) if len(data.comparison) else "",
        "notes": tables.notes(tables.headline_frame(*numbers)),
        "outcomes": tables.OUTCOMES,
        "interval": verdict.interval_name(data.confidence),
        "methods": methods(data),
        "caveats": caveats(data),
        "forests": forests(data),
        "experiments": [
            experiment_view(data, number, name) for number, name in enumerate(data.experiments)
        ],
        "examples": views,
        "island": {view["key"]: view["island"] for view in views},
        "losses": loss_views(data),
        "costs": cost_view(data.costs),
        "data": data_view(data.data),
        "provenance": data.provenance,
        "downloads": download_views(data.downloads),
    }


def subtitle(data: ReportData) -> str:
    models = sorted({str(one.get("model", "")) for one in data.experiments.values()} - {""})
    tasks = {one.get("task") for one in data.experiments.values()}
    parts = [
        verdict.plural(len(data.experiments), "experiments"),
        verdict.plural(len(tasks), "tasks"),
    ]
    if models:
        parts.append(", ".join(models) if len(models) <= 3 else f"{len(models)} models")
    hardware = data.provenance.get("hardware") or data.provenance.get("machine")
    if isinstance(hardware, str) and hardware:
        parts.append(hardware)
    return " · ".join(parts)


def _title(data: ReportData, metric: str) -> str:
    return data.metrics.get(metric, {}).get("title", metric)


def _higher(data: ReportData, name: str) -> bool:
    """The good direction of an experiment's main metric, as the comparison says it."""
    metric = data.experiments[name].get("main_metric")
    rows = data.comparison[data.comparison["metric"] == metric]
    if len(rows):
        return verdict.is_true(rows["higher_is_better"].iloc[0])
    return data.experiments[name].get("outputs") != "text"


# --------------------------------------------------------------------------------- methods, caveats


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
                "title": _title(data, metric),
                "signature": data.metrics.get(metric, {}).get("signature", ""),
                "tested": tested,
            }
        )
    return [one for one in result if one["signature"] or one["tested"]]


def caveats(data: ReportData) -> list[str]:
    """The caller's caveats, then those that the numbers give away themselves."""
    said = list(data.caveats)
    for name, experiment in data.experiments.items():
        if len(experiment.get("seeds", [])) == 1:
            said.append(
                f"{name} was tuned with one seed: how much chance in training moves its result "
                "is not known."
            )
    for row in verdict.main_rows(data.comparison, data.experiments).to_dict("records"):
        detail = verdict.detail_of(data.details, row)
        spread, delta = detail.get("seed_sd"), row["delta"]
        if verdict.finite(spread) and verdict.finite(delta) and spread > 0:
            decimals = max(verdict.decimals_for(row), 2)
            if float(spread) >= abs(float(delta)) / 2:
                said.append(
                    f"{row['experiment']} on {row['task']}: {_title(data, row['metric'])} varies "
                    f"over training seeds (SD {verdict.format_number(spread, decimals)}) by half "
                    f"of the difference or more ({verdict.format_signed(delta, decimals)})."
                )
        if verdict.finite(row["n"]) and float(row["n"]) < 30:
            said.append(
                f"{row['task']} was judged on {int(row['n'])} only: intervals of so few are rough."
            )
        elif verdict.finite(detail.get("clusters")) and float(detail["clusters"]) < 10:
            counted = verdict.plural(int(detail["clusters"]), detail.get("unit") or "clusters")
            said.append(
                f"{row['task']} was judged on whole {counted} only: the interval and the p value "
                "of so few are rough."
            )
    for task, counts in data.data.items():
        exact, near = counts.get("duplicates"), counts.get("near_duplicates")
        if exact or near:
            said.append(
                f"Leakage, {task}: {verdict.format_count(exact or 0)} duplicate and "
                f"{verdict.format_count(near or 0)} near-duplicate rows were left out of the "
                "splits."
            )
        if counts.get("truncated"):
            said.append(
                f"{task}: {verdict.format_count(counts['truncated'])} documents were longer than "
                "a row and were cut."
            )
    return list(dict.fromkeys(said))


# ----------------------------------------------------------------------------------------- figures


def figure(drawn, alt: str, key: str, caption: str = "") -> dict:
    return {"svg": Markup(figures.to_svg(drawn, alt, key)), "caption": caption}


def forests(data: ReportData) -> list[dict]:
    """One forest plot a task, of the experiments tuned on it: what they cost on other tasks can be
    hundreds of times larger, and stands in the table."""
    tuned_on = {name: one.get("task") for name, one in data.experiments.items()}
    tasks = data.comparison["task"]
    own = data.comparison[data.comparison["experiment"].map(tuned_on).fillna(tasks) == tasks]
    titles = {metric: _title(data, metric) for metric in data.comparison["metric"]}
    result = []
    for number, (task, rows) in enumerate(own.groupby("task", sort=False)):
        main = {task: verdict.main_metric(rows, data.experiments)}
        said = [
            f"{row['experiment']}, {titles[row['metric']]} "
            + verdict.format_signed(row["delta"], verdict.decimals_for(row))
            for row in rows.to_dict("records")
        ]
        interval = verdict.interval_name(data.confidence)
        alt = f"Differences on {task} with their {interval}s: {'; '.join(said)}."
        drawn = figures.plot_forest(rows, titles, main, data.confidence)
        result.append({"task": task, **figure(drawn, alt, f"forest{number}")})
    return result


def experiment_view(data: ReportData, number: int, name: str) -> dict:
    """One experiment on its own task: who won, by how much, and what it looks like."""
    experiment = data.experiments[name]
    metric = experiment.get("main_metric", "")
    higher = _higher(data, name)
    unit = experiment.get("unit", "examples")
    title = _title(data, metric)
    view = {
        "key": f"experiment{number}",
        "name": name,
        "task": experiment.get("task", ""),
        "kind": experiment.get("kind", ""),
        "model": experiment.get("model", ""),
        "quantization": experiment.get("quantization") or "none",
        "seeds": [str(seed) for seed in experiment.get("seeds", [])],
        "settings": experiment.get("settings") or {},
        "published": published_view(data, name),
        "unit": unit,
        "metric": title,
        "tally": None,
        "differences": None,
        "confusion": [],
        "confusion_table": None,
        "baselines": baseline_rows(data, experiment),
        "continuations": [],
    }
    scores = data.scores.get(name)
    if scores is not None and len(scores):
        tally = examples.tally(scores, higher)
        view["tally"] = tally
        alt = (
            f"Differences of {title} over {tally['total']} {unit}: {tally['wins']} better, "
            f"{tally['ties']} unchanged, {tally['losses']} worse."
        )
        drawn = figures.plot_differences(scores, higher, title, unit)
        caption = f"How far {unit} moved. Gray: unchanged. Dashed: the mean."
        if not figures.few_levels(scores):
            caption += " The outermost bars hold all that lies beyond."
        view["differences"] = figure(drawn, alt, f"differences{number}", caption)
    confusion = data.confusions.get(name)
    if confusion and len(confusion["labels"]):
        for system in ("base", "tuned"):
            alt = f"Confusion matrix of the {system} model; its numbers are in the table below."
            drawn = figures.plot_confusion(confusion, (system,))
            view["confusion"].append(figure(drawn, alt, f"confusion{number}-{system}"))
        view["confusion_table"] = confusion_table(confusion)
    continued = data.continuations.get(name)
    if continued is not None:
        view["continuations"] = [
            {key: examples.show(row[key], keep=2000) for key in ("prompt", "base", "tuned")}
            for row in continued.to_dict("records")
        ]
    return view


def published_view(data: ReportData, name: str) -> dict | None:
    """What others reported of a recipe beside what came out here, and how the methods differ."""
    published = data.experiments[name].get("published")
    if not published:
        return None
    ours = data.comparison[
        (data.comparison["experiment"] == name)
        & (data.comparison["task"] == data.experiments[name].get("task"))
    ].set_index("metric")
    rows = []
    for metric, theirs in published["metrics"].items():
        row = ours.loc[metric].to_dict() if metric in ours.index else {}
        decimals = verdict.decimals_for(row)
        systems = ("base", "tuned")
        rows.append(
            {
                "metric": _title(data, metric),
                "theirs": [_printed_figure(theirs[s], theirs["scale"]) for s in systems],
                "ours": [verdict.format_number(row.get(s), decimals) for s in systems],
            }
        )
    return {"source": published["source"], "rows": rows, "differs": published["differs"]}


def _printed_figure(value, scale: float) -> str:
    """A figure as it was published, and on our scale where that is another."""
    if not verdict.finite(value):
        return verdict.NOTHING
    figure = f"{value:,.6g}".replace("-", verdict.MINUS)
    return figure if scale == 1 else f"{scale * value:,.6g} ({figure} × {scale:g})"


def confusion_table(confusion: Mapping) -> dict | None:
    """The matrices as rows of counts, for those who cannot see them; None for very many labels."""
    labels = [str(one) for one in confusion["labels"]]
    if len(labels) > 20:
        return None
    systems = [
        {
            "name": system,
            "rows": [
                {"label": one, "counts": [verdict.format_count(value) for value in row]}
                for one, row in zip(labels, confusion[system], strict=True)
            ],
        }
        for system in ("base", "tuned")
    ]
    return {"labels": labels, "systems": systems}


def baseline_rows(data: ReportData, experiment: Mapping) -> list[dict]:
    """Plain baselines of a task beside base and tuned, in the metrics that they have."""
    task = experiment.get("task")
    baselines = data.baselines.get(task) or {}
    if not baselines:
        return []
    metric = experiment.get("main_metric")
    result = []
    for name, scores in baselines.items():
        decimals = 3
        result.append(
            {
                "name": name,
                "scores": [
                    (_title(data, key), verdict.format_number(value, decimals))
                    for key, value in scores.items()
                    if key not in ("ci_low", "ci_high", "n") and verdict.finite(value)
                ],
                "outcomes": tables.OUTCOMES,
                "interval": verdict.format_interval(
                    scores.get("ci_low"), scores.get("ci_high"), decimals
                ),
                "metric": _title(data, metric),
            }
        )
    return result


def loss_views(data: ReportData) -> list[dict]:
    result = []
    for number, name in enumerate(data.experiments):
        curves, final = _of(data.losses, name, LOSSES), _of(data.final_losses, name, FINAL_LOSSES)
        if curves.empty and final.empty:
            continue
        view = {"name": name, "svg": None, "rows": final_rows(final)}
        if len(curves):
            said = "; ".join(
                f"{row['split']} {row['base']} to {row['tuned']} (seed {row['seed']})"
                for row in view["rows"]
            )
            alt = f"Loss over training steps of {name}" + (f": {said}." if said else ".")
            view["svg"] = figure(figures.plot_losses(curves), alt, f"losses{number}")["svg"]
            epochs = pd.to_numeric(curves["epoch"], errors="coerce").max()
            view["epochs"] = f"{epochs:.3g}" if verdict.finite(epochs) else ""
            view["steps"] = verdict.format_count(curves["step"].max())
        result.append(view)
    return result


def _of(frame: pd.DataFrame, name: str, columns: list[str]) -> pd.DataFrame:
    """The rows of one experiment; a frame without rows may lack its columns."""
    return frame[frame["experiment"] == name] if len(frame) else _empty(columns)


def final_rows(final: pd.DataFrame) -> list[dict]:
    rows = final.sort_values(["split", "seed"], ascending=[False, True], kind="stable")
    return [
        {
            "split": row["split"],
            "seed": str(row["seed"]),
            "base": verdict.format_number(row["base"], 3),
            "tuned": verdict.format_number(row["tuned"], 3),
            "delta": verdict.format_signed(
                row["tuned"] - row["base"]
                if verdict.finite(row["base"]) and verdict.finite(row["tuned"])
                else None,
                3,
            ),
        }
        for row in rows.to_dict("records")
    ]


# ---------------------------------------------------------------------------------------- examples


def example_view(data: ReportData, number: int, name: str, frame: pd.DataFrame, keep: int) -> dict:
    """The examples of one experiment: markup for each, and what the filter script needs."""
    total = len(data.examples[name])
    higher = _higher(data, name)
    rows, island = [], []
    printed = _printed(len(frame))
    for place, row in enumerate(frame.to_dict("records")):
        gain = row["gain"] if verdict.finite(row["gain"]) else None
        side = "tie"
        if gain is None:
            side = "none"
        elif abs(gain) > examples.TIE:
            side = "gain" if gain > 0 else "loss"
        decimals = 2
        delta = None if gain is None else gain * (1 if higher else -1)
        rows.append(
            {
                "key": f"example{number}-{place}",
                "id": str(row["id"]),
                "side": side,
                "open": place < 2,
                "printed": place in printed,
                "delta": verdict.format_signed(delta, decimals),
                "base_score": verdict.format_number(row["base_score"], decimals),
                "tuned_score": verdict.format_number(row["tuned_score"], decimals),
                "excerpt": figures.label(row["prompt"], 90),
                "prompt": examples.show(row["prompt"], keep=keep),
                "reference": examples.show(row["reference"], row["tuned"], css="missed", keep=keep),
                "base": examples.show(row["base"], row["reference"], keep=keep),
                "tuned": examples.show(row["tuned"], row["reference"], keep=keep),
            }
        )
        island.append({"side": side, "gain": None if gain is None else round(float(gain), 6)})
    return {
        "key": f"examples{number}",
        "name": name,
        "task": data.experiments[name].get("task", ""),
        "metric": _title(data, data.experiments[name].get("main_metric", "")),
        "rows": rows,
        "total": total,
        "island": island,
    }


def _printed(count: int) -> set[int]:
    """Places of the examples that a printed page holds: two of the best, middle and worst."""
    middle = count // 2
    return {place for place in (0, 1, middle - 1, middle, count - 2, count - 1) if place >= 0}


# ------------------------------------------------------------------------------------- plain tables


def seconds_text(seconds) -> str:
    """'850 ms', '12.3 s', '4 min 05 s', '2 h 07 min'."""
    if not verdict.finite(seconds):
        return verdict.NOTHING
    seconds = float(seconds)
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"


def cost_view(costs: pd.DataFrame) -> dict | None:
    """Time and memory by stage, and by job where a stage has more than one."""
    if costs.empty:
        return None
    numbers = ["seconds", "peak_memory_gb", "tokens_per_second"]
    costs = costs.assign(**{name: pd.to_numeric(costs[name], errors="coerce") for name in numbers})
    groups = costs.groupby("stage", sort=False)
    stages = pd.DataFrame(
        {
            "name": groups.size().map(lambda count: verdict.plural(int(count), "jobs")),
            "seconds": groups["seconds"].sum(min_count=1),
            "peak_memory_gb": groups["peak_memory_gb"].max(),
            "tokens_per_second": groups["tokens_per_second"].mean(),
        }
    ).reset_index()
    return {
        "stages": _cost_rows(stages),
        "jobs": _cost_rows(costs),
        "total": seconds_text(costs["seconds"].sum()),
        "memory": verdict.format_number(costs["peak_memory_gb"].max(), 2),
        "speeds": bool(costs["tokens_per_second"].notna().any()),
    }


def _cost_rows(frame: pd.DataFrame) -> list[dict]:
    longest = frame["seconds"].max()
    rows = []
    for row in frame.to_dict("records"):
        known = verdict.finite(row["seconds"]) and verdict.finite(longest) and longest > 0
        rows.append(
            {
                "stage": row["stage"],
                "name": row["name"],
                "seconds": seconds_text(row["seconds"]),
                "share": f"{100 * row['seconds'] / longest if known else 0:.1f}",
                "memory": verdict.format_number(row["peak_memory_gb"], 2),
                "speed": verdict.format_count(row["tokens_per_second"]),
            }
        )
    return rows


FACTS = {
    "rows": "Rows in the source",
    "kept": "Rows kept",
    "rejected": "Rejected",
    "duplicates": "Duplicates left out",
    "near_duplicates": "Near duplicates left out",
    "splits": "Split",
    "truncated": "Documents cut to a row",
    "padding_share": "Padding",
    "supervised_tokens": "Supervised tokens",
}


def data_view(data: Mapping[str, Mapping]) -> dict | None:
    """Facts as rows, tasks as columns; a fact that is a dict (reasons, splits) has rows below."""
    if not data:
        return None
    keys = [key for key in FACTS if any(key in counts for counts in data.values())]
    keys += [key for key in dict.fromkeys(k for c in data.values() for k in c) if key not in FACTS]
    rows = []
    for key in keys:
        values = [counts.get(key) for counts in data.values()]
        name = FACTS.get(key, str(key).replace("_", " ").capitalize())
        inner = dict.fromkeys(k for value in values if isinstance(value, Mapping) for k in value)
        if any(isinstance(value, Mapping) for value in values):
            if key == "rejected":
                totals = [sum((value or {}).values()) for value in values]
                rows.append({"name": name, "cells": [f"{n:,}" for n in totals], "inner": False})
            for part in inner:
                cells = [_cell((value or {}).get(part), key) for value in values]
                said = f"{name}: {part}" if key != "rejected" else str(part)
                rows.append({"name": said, "cells": cells, "inner": key == "rejected"})
        else:
            rows.append(
                {"name": name, "cells": [_cell(value, key) for value in values], "inner": False}
            )
    return {"tasks": list(data), "rows": rows}


def _cell(value, key: str) -> str:
    if value is None:
        return verdict.NOTHING
    if key == "padding_share" and verdict.finite(value):
        return f"{100 * float(value):.1f}%"
    if isinstance(value, str) or not verdict.finite(value):
        return str(value)
    number = float(value)
    return f"{round(number):,}" if number == round(number) else f"{number:,.4g}"


def download_views(downloads: Mapping[str, str]) -> list[dict]:
    """Each file with its link, or without one where the page would grow too heavy."""
    left, carried = DOWNLOADS_BUDGET, set()
    for name in sorted(downloads, key=lambda one: (len(downloads[one].encode()), one)):
        size = len(downloads[name].encode("utf-8", "replace"))
        if size <= left:
            left -= size
            carried.add(name)
    return [
        {
            "name": name,
            "size": file_size(len(text.encode("utf-8", "replace"))),
            "href": data_uri(text) if name in carried else None,
        }
        for name, text in downloads.items()
    ]


def data_uri(text: str) -> str:
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode()
    return f"data:text/csv;charset=utf-8;base64,{encoded}"

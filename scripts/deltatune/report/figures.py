"""The figures, as Matplotlib figures, and their way into the page.

The plot rules write them with `save`; the page embeds them with `to_svg`, which turns the colors
into the page's own (so that dark mode works), takes the fonts from the page, and gives every id a
prefix (so that many figures can stand on one page). Both are the same bytes for the same data.

Base is gray, tuned is blue; a gain is blue, a loss vermilion (Okabe and Ito's palette, told apart
by every kind of color vision), and shape or place says the same a second time.
"""

import hashlib
import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deltatune.report import verdict
from deltatune.report.examples import TIE, clean

INK = "#22262b"
MUTED = "#5c636b"
RULE = "#d5d8dc"
SAME = "#a3a9b0"
BASE = "#6b7178"
TUNED = "#0072b2"
LOSS = "#c2500a"
PAPER = "#fefefe"

# The page's name for each color; the fallback keeps a figure whole outside the page.
VARIABLES = {
    INK: "currentColor",
    MUTED: f"var(--muted, {MUTED})",
    RULE: f"var(--rule, {RULE})",
    SAME: f"var(--same, {SAME})",
    BASE: f"var(--base, {BASE})",
    TUNED: f"var(--tuned, {TUNED})",
    LOSS: f"var(--loss, {LOSS})",
    PAPER: f"var(--card, {PAPER})",
}

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "deltatune",
    # A label such as "$5 a day$" is text, never mathematics.
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10.0,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.unicode_minus": True,
    "lines.solid_capstyle": "round",
}
WIDTH = 4.8
"""Inches. About a phone's width at a readable size, so that figures need no sideways scrolling."""

STEPS = [1, 2, 2.5, 5, 10]
"""Round steps between ticks, in any power of ten."""
SHADE = 0.55
"""The darkest shade of a matrix: ink stays readable on it, in dark mode too."""

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"


def label(text, width: int = 26) -> str:
    """A name that fits a figure: one line, visible characters, an ellipsis where it is cut."""
    text = " ".join(clean(text).split())
    return text if len(text) <= width else text[: width - 1] + "…"


def empty(message: str) -> Figure:
    """A figure that says why there is nothing to see."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.8))
        figure.text(0.5, 0.5, clean(message), ha="center", va="center", color=MUTED)
    return figure


# ----------------------------------------------------------------------------------------- forest


def plot_forest(
    comparison: pd.DataFrame,
    titles: Mapping[str, str] | None = None,
    main: Mapping[str, str] | None = None,
    confidence: float = verdict.CONFIDENCE,
) -> Figure:
    """Differences with their intervals: one small panel a metric of a task, each in its units.

    Metrics have scales of their own (a point of BLEU is not a point of accuracy), so each panel
    has its own axis, with zero always on it, and the better side is marked. Experiments that
    share a task and a metric share its panel.

    comparison: the comparison table (NaN intervals are drawn as a bare mark)
    titles:     metric → its title; the name stands in for a missing one
    main:       task → the metric that judges it, set in bold
    """
    titles, main = titles or {}, main or {}
    panels = [
        (task, metric, rows[rows["delta"].map(verdict.finite)])
        for (task, metric), rows in comparison.groupby(["task", "metric"], sort=False)
    ]
    panels = [panel for panel in panels if len(panel[2])]
    if not panels:
        return empty("There is no difference to draw.")
    panels.sort(key=lambda panel: (_first(comparison, panel[0]), panel[1] != main.get(panel[0])))
    several_tasks = comparison["task"].nunique() > 1
    heights = [0.72 + 0.27 * len(rows) for _, _, rows in panels]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, sum(heights) + 0.1), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.08, hspace=0.0)
        axes = figure.subplots(
            len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
        )[:, 0]
        for axis, (task, metric, rows) in zip(axes, panels, strict=True):
            title = label(titles.get(metric, metric), 40)
            if several_tasks:
                title = f"{label(task, 20)}: {title}"
            _forest_panel(
                axis, rows.to_dict("records"), title, main.get(task) == metric, confidence
            )
    return figure


def _first(comparison: pd.DataFrame, task: str) -> int:
    return list(comparison["task"]).index(task)


def _forest_panel(axis, rows: list[dict], title: str, strong: bool, confidence: float) -> None:
    marks = {"improved": ("o", TUNED), "worsened": ("s", LOSS)}
    ends = [0.0]
    for place, row in enumerate(rows):
        marker, color = marks.get(verdict.outcome(row, confidence), ("D", BASE))
        interval = [row["ci_low"], row["ci_high"]]
        if all(verdict.finite(end) for end in interval):
            axis.plot(interval, [place, place], color=color, linewidth=2.2)
            ends += interval
        ends.append(row["delta"])
        hollow = marker == "D"
        axis.plot(
            [row["delta"]],
            [place],
            marker,
            color=color,
            markersize=5.5 if hollow else 6.5,
            markerfacecolor=PAPER if hollow else color,
            markeredgewidth=1.6,
        )
        decimals = verdict.decimals_for(row)
        axis.annotate(
            verdict.format_signed(row["delta"], decimals),
            (1.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=10,
            annotation_clip=False,
        )
    span = (max(ends) - min(ends)) or 1.0
    axis.set_xlim(min(ends) - 0.08 * span, max(ends) + 0.08 * span)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.axvline(0, color=MUTED, linewidth=0.9, zorder=0)
    axis.grid(axis="x")
    axis.spines["left"].set_visible(False)
    axis.spines["bottom"].set_visible(False)
    axis.tick_params(length=0)
    axis.xaxis.set_major_locator(MaxNLocator(5, steps=STEPS, min_n_ticks=3))
    if len(rows) > 1:
        axis.set_yticks(range(len(rows)), [label(row["experiment"], 18) for row in rows])
    else:
        axis.set_yticks([])
    axis.tick_params(axis="y", labelcolor=INK)
    axis.set_title(title, fontweight="bold" if strong else "normal", pad=4)
    better = "better →" if verdict.is_true(rows[0]["higher_is_better"]) else "← better"
    axis.set_title(better, loc="right", fontsize=9.5, color=MUTED, pad=4)


# ----------------------------------------------------------------------------------------- losses


def plot_losses(losses: pd.DataFrame) -> Figure:
    """Loss over steps of one experiment: each seed thin, their mean bold, the base at step 0.

    losses: columns seed, step, epoch, split ("train" | "validation"), loss (nats a token, weighted
            by tokens). Values that are not finite leave a gap.
    """
    losses = losses[np.isfinite(losses["loss"].astype(float))]
    if losses.empty:
        return empty("No loss was logged.")
    colors = {"train": BASE, "validation": TUNED}
    several = losses["seed"].nunique() > 1
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
        axis = figure.subplots()
        ends: list[tuple[str, float, str]] = []
        for split, color in colors.items():
            rows = losses[losses["split"] == split].sort_values(["seed", "step"])
            if rows.empty:
                continue
            if several:
                sns.lineplot(
                    data=rows, x="step", y="loss", units="seed", estimator=None, ax=axis,
                    color=color, linewidth=0.8, alpha=0.45, legend=False,
                )  # fmt: skip
            mean = rows.groupby("step")["loss"].mean()
            few = len(mean) <= 15
            axis.plot(
                mean.index, mean.to_numpy(), color=color, linewidth=2.2,
                linestyle="-" if split == "validation" else (0, (4, 1.6)),
                marker="o" if few and split == "validation" else None, markersize=4,
            )  # fmt: skip
            ends.append((f"{split} {mean.iloc[-1]:.2f}", mean.iloc[-1], color))
            if mean.index[0] == 0 and split == "validation":
                axis.axhline(mean.iloc[0], color=color, linewidth=0.9, linestyle=(0, (1, 2.5)))
                axis.plot([0], [mean.iloc[0]], "D", color=color, markersize=6,
                          markerfacecolor=PAPER, markeredgewidth=1.6)  # fmt: skip
                ends.append((f"base {mean.iloc[0]:.2f}", mean.iloc[0], color))
        _label_ends(axis, ends)
        axis.grid(axis="y")
        axis.set_xlabel("step")
        axis.set_ylabel("")
        axis.set_title("loss, nats a token", pad=9)
        axis.xaxis.set_major_locator(MaxNLocator(6, steps=STEPS, integer=True))
        axis.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
        axis.spines["left"].set_visible(False)
        axis.tick_params(axis="y", length=0)
    return figure


def _label_ends(axis, ends: list[tuple[str, float, str]], gap: float = 0.085) -> None:
    """Names the curves at the right edge, moved apart where they would lie on each other.

    ends: (text, value, color); gap: the least distance, as a share of the axis.
    """
    low, high = axis.get_ylim()
    places: list[float] = []
    for text, value, color in sorted(ends, key=lambda end: end[1]):
        place = (value - low) / ((high - low) or 1)
        if places:
            place = max(place, places[-1] + gap)
        places.append(place)
        axis.annotate(
            text, (1.02, place), xycoords="axes fraction", color=color, va="center",
            fontsize=10, annotation_clip=False,
        )  # fmt: skip
    axis.set_ylim(low, high)


# -------------------------------------------------------------------------------------- confusion


def plot_confusion(confusion: Mapping, systems: tuple[str, ...] = ("base", "tuned")) -> Figure:
    """Confusion matrices side by side: rows are true labels, columns are predicted ones.

    The shade is the share of the row, so that rare labels can be read; the numbers are counts.
    confusion: {"labels": K names, "base": K×K counts, "tuned": K×K counts}
    """
    names = [label(name, 16) for name in confusion["labels"]]
    count = len(names)
    if not count:
        return empty("There are no labels.")
    side = min(max(0.75 * count + 1.2, 2.8), 7.0)
    written = count <= 12
    with mpl.rc_context(STYLE):
        shade = LinearSegmentedColormap.from_list(
            "shade", [to_rgba(TUNED, 0), to_rgba(TUNED, SHADE)]
        )
        figure = Figure(figsize=(side * len(systems) + 0.4, side), layout="constrained")
        axes = figure.subplots(1, len(systems), squeeze=False)[0]
        for number, (axis, system) in enumerate(zip(axes, systems, strict=True)):
            counts = np.asarray(confusion[system], dtype=float).reshape(count, count)
            totals = counts.sum(axis=1, keepdims=True)
            shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
            sns.heatmap(
                shares, ax=axis, cmap=shade, vmin=0, vmax=1, cbar=False, square=True,
                linewidths=1, linecolor=RULE, xticklabels=names,
                yticklabels=names if number == 0 else False,
            )  # fmt: skip
            if written:
                for (row, column), value in np.ndenumerate(counts):
                    axis.text(
                        column + 0.5, row + 0.5, f"{value:,.0f}", ha="center", va="center",
                        fontsize=10, fontweight="bold" if row == column else "normal",
                        color=INK,
                    )  # fmt: skip
            axis.tick_params(length=0, labelcolor=INK)
            axis.tick_params(axis="x", rotation=0 if _fits(names, side) else 90)
            axis.tick_params(axis="y", rotation=0)
            axis.set_title(system)
            axis.set_xlabel("predicted")
            axis.set_ylabel("true" if number == 0 else "")
    return figure


def _fits(names: list[str], side: float) -> bool:
    """Do the names fit side by side under the matrix? (about 0.085 inches a character)"""
    cell = (side - 1.2) / len(names)
    return max(map(len, names)) * 0.09 < cell


# ------------------------------------------------------------------------------------ differences


def plot_differences(
    scores: pd.DataFrame,
    higher_is_better: bool = True,
    title: str = "score",
    unit: str = "examples",
) -> Figure:
    """How the per-example differences are spread: gains on one side, losses on the other.

    No bin straddles zero, and examples without a difference have a bar of their own there.
    scores: columns id, base, tuned (one value an example); rows with a missing value are left out
    """
    differences = (scores["tuned"] - scores["base"]).astype(float)
    differences = differences[np.isfinite(differences)].to_numpy()
    if not len(differences):
        return empty("No example has both scores.")
    same = np.abs(differences) <= TIE
    moved = differences[~same]
    reach = float(np.abs(moved).max()) if len(moved) else 1.0
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.5), layout="constrained")
        axis = figure.subplots()
        levels = _levels(differences)
        if levels is not None:
            # A few values only (right or wrong, averaged over seeds): a bar for each.
            gaps = np.diff(np.unique([*levels, 0.0]))
            width = 0.6 * (float(gaps.min()) if len(gaps) else 1.0)
            for value in levels:
                axis.bar(value, int(np.isclose(moved, value, atol=1e-6).sum()), width=width,
                         color=_side(value, higher_is_better))  # fmt: skip
            sides = [*levels, 0.0]
        else:
            # Wide tails would leave the middle in one bin: the axis ends at the 99th percentile
            # of the size, and the outermost bins take what lies beyond.
            end = float(np.quantile(np.abs(moved), 0.99)) or reach
            per_side = int(np.clip(np.sqrt(len(moved)), 6, 16))
            step = end / per_side
            edges = np.arange(-per_side, per_side + 1) * step
            held = np.clip(moved, edges[0] + step / 2, edges[-1] - step / 2)
            held = np.where(np.abs(moved) > end, held, moved)
            for side in (-1, 1):
                part = held[np.sign(held) == side]
                if len(part):
                    sns.histplot(
                        x=part, bins=edges, ax=axis, color=_side(side, higher_is_better),
                        alpha=1.0, edgecolor=PAPER, linewidth=0.8,
                    )  # fmt: skip
            width, sides = step * 0.5, [held.min(), held.max(), 0.0]
        if same.any():
            axis.bar(0, int(same.sum()), width=width, color=SAME, edgecolor=PAPER, linewidth=0.8)
        axis.axvline(0, color=MUTED, linewidth=0.9, zorder=0)
        axis.axvline(float(differences.mean()), color=INK, linewidth=1.2, linestyle=(0, (2, 2)))
        room = max(width, 0.03 * (max(sides) - min(sides)))
        axis.set_xlim(min(sides) - room, max(sides) + room)
        axis.set_ylim(top=axis.get_ylim()[1] * 1.08)
        axis.grid(axis="y")
        axis.spines["left"].set_visible(False)
        axis.tick_params(axis="y", length=0)
        axis.yaxis.set_major_locator(MaxNLocator(4, steps=STEPS, integer=True))
        axis.xaxis.set_major_locator(MaxNLocator(7, steps=STEPS))
        axis.set_xlabel(f"{label(title, 32)}, tuned − base")
        axis.set_ylabel("")
        axis.set_title(unit)
        better = "better →" if higher_is_better else "← better"
        axis.set_title(better, loc="right", fontsize=9.5, color=MUTED)
    return figure


def few_levels(scores: pd.DataFrame) -> bool:
    """Do the differences take so few values that each has a bar of its own?"""
    differences = (scores["tuned"] - scores["base"]).astype(float)
    return _levels(differences[np.isfinite(differences)].to_numpy()) is not None


def _levels(differences: np.ndarray) -> np.ndarray | None:
    levels = np.unique(np.round(differences[np.abs(differences) > TIE], 6))
    return levels if len(levels) <= 8 else None


def _side(difference: float, higher_is_better: bool) -> str:
    return TUNED if (difference > 0) == higher_is_better else LOSS


# -------------------------------------------------------------------------------------------- SVG


def svg_bytes(figure: Figure) -> bytes:
    """The figure as Matplotlib writes it: no date, the same bytes for the same figure."""
    target = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # The reader's browser has the fonts for scripts that DejaVu lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    return target.getvalue()


def save(figure: Figure, path: Path | str) -> None:
    """Writes the figure as a file that stands alone: its own colors, on white."""
    svg = svg_bytes(figure).decode()
    ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
    svg = re.sub(r"(<svg[^>]*>)", lambda match: match.group(1) + "\n " + ground, svg, count=1)
    Path(path).write_text(svg, encoding="utf-8", newline="\n")


def to_svg(figure: Figure, title: str = "", prefix: str | None = None) -> str:
    """The figure as an <svg> element for the page.

    title:  what it shows, in words, for those who cannot see it
    prefix: begins every id; by default the digest of the figure and its title, so that different
            figures cannot clash (the same one twice on a page needs prefixes of its own)
    """
    source = svg_bytes(figure)
    if prefix is None:
        prefix = "f" + hashlib.sha256(source + title.encode()).hexdigest()[:10]
    root = ET.fromstring(source)
    for child in root.findall(f"{{{SVG}}}metadata"):
        root.remove(child)
    for parent in root.iter():
        for child in list(parent):
            # Its "*" would speak to the whole page.
            if child.tag == f"{{{SVG}}}style" or (child.tag == f"{{{SVG}}}g" and _is_ground(child)):
                parent.remove(child)
    width, height = (float(size) for size in root.get("viewBox").split()[2:])
    root.attrib.clear()
    root.attrib.update(
        {
            "viewBox": f"0 0 {width:g} {height:g}",
            "width": f"{width * 4 / 3:.0f}",
            "height": f"{height * 4 / 3:.0f}",
            "role": "img",
            "stroke-linejoin": "round",
            "stroke-linecap": "butt",
        }
    )
    referenced = {
        name
        for element in root.iter()
        for value in element.attrib.values()
        for name in re.findall(r"#([\w.-]+)", value)
    }
    for element in root.iter():
        _rewrite(element, referenced, prefix)
    if title:
        heading = ET.Element(f"{{{SVG}}}title", {"id": f"{prefix}-title"})
        heading.text = clean(title)
        root.insert(0, heading)
        root.set("aria-labelledby", f"{prefix}-title")
    _strip_namespaces(root)
    return ET.tostring(root, encoding="unicode")


def _is_ground(group: ET.Element) -> bool:
    paths = list(group)
    return (
        (group.get("id") or "").startswith("patch_")
        and len(paths) == 1
        and re.fullmatch(r"fill: none(; opacity: [\d.]+)?", paths[0].get("style") or "") is not None
    )


def _rewrite(element: ET.Element, referenced: set[str], prefix: str) -> None:
    """Ids, colors, fonts and numbers of one element, in place."""
    name = element.get("id")
    if name is not None:
        if name in referenced:
            element.set("id", f"{prefix}-{name}")
        else:
            del element.attrib["id"]
    for key, value in list(element.attrib.items()):
        value = re.sub(r"url\(#([\w.-]+)\)", rf"url(#{prefix}-\1)", value)
        if key == f"{{{XLINK}}}href":
            del element.attrib[key]
            key, value = "href", value.replace("#", f"#{prefix}-", 1)
        if key == "style":
            value = _style(value, element.tag == f"{{{SVG}}}text")
        elif key == "d":
            value = " ".join(re.sub(r"-?\d+\.\d+", _shorter, value).split())
        elif key in ("x", "y", "transform", "width", "height"):
            value = re.sub(r"-?\d+\.\d+", _shorter, value)
        if key == "transform" and value.startswith("rotate(-0 "):
            element.attrib.pop(key, None)
            continue
        element.set(key, value)
    if element.text is not None and not element.text.strip():
        element.text = None
    if element.tail is not None and not element.tail.strip():
        element.tail = None


def _style(value: str, is_text: bool) -> str:
    for color, variable in VARIABLES.items():
        value = value.replace(color, variable)
    if is_text:
        # The page's own sans serif, whose figures are all of one width.
        value = re.sub(r"font-family: [^;]*;?\s*", "", value)
        value = re.sub(r"font: (?:(\w+) )?([\d.]+px) [^;]*", _font, value)
    return value.strip().rstrip(";")


def _font(match: re.Match) -> str:
    weight = f"font-weight: {match.group(1)}; " if match.group(1) else ""
    return f"{weight}font-size: {match.group(2)}"


def _shorter(match: re.Match) -> str:
    return f"{float(match.group()):.2f}".rstrip("0").rstrip(".")


def _strip_namespaces(root: ET.Element) -> None:
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]

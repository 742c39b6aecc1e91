"""Curves of training and validation loss, and the losses at the end."""

import pandas as pd

from deltatune.core.table import Cell, Column, Row, Table, table
from deltatune.report import captions, numbers
from deltatune.report.data import ReportData
from deltatune.report.figures import embed, losses
from deltatune.report.figures.settings import LossesSettings
from deltatune.report.words.seeds import aggregation

NAME, TITLE = "losses", "Losses"


def view(data: ReportData) -> list[dict] | None:
    """One entry for each experiment that has losses."""
    result = []
    for number, name in enumerate(data.experiments):
        curves, final = _of(data.losses, name), _of(data.final_losses, name)
        if curves.empty and final.empty:
            continue
        rows = final_rows(final)
        entry = {"name": name, "svg": None, "table": final_table(number, name, rows)}
        if len(curves):
            seeds = sorted(int(seed) for seed in curves["seed"].unique())
            points = points_in_words(losses.validation(curves))
            entry["caption"] = captions.caption(
                "losses", LossesSettings(experiment=name, seeds=seeds)
            )
            entry["points"] = points
            figure = embed.view(
                losses.plot(curves),
                f"Loss of {name}",
                " ".join(filter(None, [points, ends_in_words(rows)])),
                f"losses{number}",
            )
            entry["svg"] = figure["svg"]
            epochs = pd.to_numeric(curves["epoch"], errors="coerce").max()
            entry["epochs"] = f"{epochs:.3g}" if numbers.finite(epochs) else ""
            entry["steps"] = numbers.plural(int(curves["step"].max()), "steps")
        result.append(entry)
    return result or None


def points_in_words(points: losses.Validation | None) -> str:
    """'Validation is lowest, 1.203, at step 60; the adapter of step 120 is kept, with 1.245.'"""
    if points is None:
        return ""
    lowest, kept = (
        numbers.format_number(loss, losses.DECIMALS) for loss in (points.lowest, points.kept)
    )
    if points.lowest_step == points.kept_step:
        return (
            f"Validation is lowest, {kept}, at the last step, {points.kept_step:,}, whose adapter "
            "is kept."
        )
    return (
        f"Validation is lowest, {lowest}, at step {points.lowest_step:,}; the adapter of the last "
        f"step, {points.kept_step:,}, is kept, with {kept}."
    )


def ends_in_words(rows: list[Row]) -> str:
    """'validation 8.624 to 0.217 (seed 1); …', for those who cannot see the figure."""
    return "; ".join(
        f"{one['split'].text} {one['base'].text} to {one['tuned'].text} ({one['of'].text})"
        for one in rows
    )


def _of(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of one experiment; a frame without rows may lack its columns."""
    return frame[frame["experiment"] == name] if len(frame) else frame


def final_table(number: int, name: str, rows: list[dict[str, Cell]]) -> Table | None:
    if not rows:
        return None
    columns = [
        Column("split", "Split"),
        Column("of", "Of"),
        Column("base", "Base", "number"),
        Column("tuned", "Tuned", "number"),
        Column("delta", "Difference", "number"),
    ]
    return table(f"final-losses{number}", f"Final losses of {name}", columns, [*map(Row, rows)])


def final_rows(final: pd.DataFrame) -> list[dict[str, Cell]]:
    """A row for each split and seed, and where there are several seeds one for their mean."""
    if final.empty:
        return []
    rows = []
    for split, part in sorted(final.groupby("split"), reverse=True):
        part = part.sort_values("seed", kind="stable")
        rows += [
            _row(split, f"seed {one['seed']}", one["base"], one["tuned"])
            for one in part.to_dict("records")
        ]
        if len(part) > 1:
            of = aggregation(part["seed"].tolist())
            # NaN where one seed has none: a mean of the others would be another thing.
            means = part[["base", "tuned"]].astype(float).mean(skipna=False)
            rows.append(_row(split, of, means["base"], means["tuned"]))
    return rows


def _row(split: str, of: str, base: float, tuned: float) -> dict[str, Cell]:
    known = numbers.finite(base) and numbers.finite(tuned)
    delta = tuned - base if known else None
    return {
        "split": Cell(split),
        "of": Cell(of),
        "base": Cell(numbers.format_number(base, losses.DECIMALS), base),
        "tuned": Cell(numbers.format_number(tuned, losses.DECIMALS), tuned),
        "delta": Cell(numbers.format_signed(delta, losses.DECIMALS), delta),
    }

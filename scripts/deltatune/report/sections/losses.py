"""Curves of training and validation loss, and the losses at the end."""

import pandas as pd

from deltatune.report import numbers
from deltatune.report.data import ReportData
from deltatune.report.figures import embed, losses


def view(data: ReportData) -> list[dict]:
    """One entry for each experiment that has losses."""
    result = []
    for number, name in enumerate(data.experiments):
        curves, final = _of(data.losses, name), _of(data.final_losses, name)
        if curves.empty and final.empty:
            continue
        entry = {"name": name, "svg": None, "rows": final_rows(final)}
        if len(curves):
            changes = "; ".join(
                f"{row['split']} {row['base']} to {row['tuned']} (seed {row['seed']})"
                for row in entry["rows"]
            )
            alt = f"Loss over training steps of {name}" + (f": {changes}." if changes else ".")
            entry["svg"] = embed.view(losses.plot(curves), alt, f"losses{number}")["svg"]
            epochs = pd.to_numeric(curves["epoch"], errors="coerce").max()
            entry["epochs"] = f"{epochs:.3g}" if numbers.finite(epochs) else ""
            entry["steps"] = numbers.format_count(curves["step"].max())
        result.append(entry)
    return result


def _of(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of one experiment; a frame without rows may lack its columns."""
    return frame[frame["experiment"] == name] if len(frame) else frame


def final_rows(final: pd.DataFrame) -> list[dict]:
    if final.empty:
        return []
    rows = final.sort_values(["split", "seed"], ascending=[False, True], kind="stable")
    return [
        {
            "split": row["split"],
            "seed": str(row["seed"]),
            "base": numbers.format_number(row["base"], 3),
            "tuned": numbers.format_number(row["tuned"], 3),
            "delta": numbers.format_signed(
                row["tuned"] - row["base"]
                if numbers.finite(row["base"]) and numbers.finite(row["tuned"])
                else None,
                3,
            ),
        }
        for row in rows.to_dict("records")
    ]

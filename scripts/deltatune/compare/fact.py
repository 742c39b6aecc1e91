"""One comparison as a typed record: a row of comparison.csv, cross_task.csv or baselines.csv.

Whatever states a result (verdict, tables, captions, figures, the terminal) reads facts.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

import pandas as pd

from deltatune.compare import table

Estimand = Literal["recipe", "adapters"]

BASE = "base"
"""What a row is compared with, where it is not a baseline."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Tuned systems against their base, or against a plain baseline, by one metric on one task.

    A figure that is not known is None. p-values and intervals without a prefix are of `estimand`;
    those of `adapters_` are of these adapters, where the test records alone are random.
    """

    experiment: str
    task: str
    model: str
    metric: str
    main: bool
    """Whether it is the task's main metric; these rows are the family of the Holm correction."""
    higher_is_better: bool
    against: str
    """"base", or the name of a plain baseline."""
    n: int
    """Scored examples or windows: `unit`, in the plural."""
    unit: str
    clusters: int
    """Independent units: `cluster_unit`, in the plural; the examples where each is its own."""
    cluster_unit: str
    differing: int
    """Examples that base and tuned score differently, for any seed."""
    seeds: int
    base: float | None
    tuned: float | None
    """Mean over the training seeds."""
    delta: float | None
    """tuned - base."""
    seed_sd: float | None
    """Standard deviation of the tuned figure over training seeds."""
    estimand: Estimand
    """recipe: test records and training seeds are random; adapters: the records alone."""
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    p_is_floor: bool
    """Whether p_value is the smallest that the test can give, so p is at most that."""
    p_holm: float | None
    """Adjusted over the main rows of the table; None for the others."""
    family: int
    """Tests that the Holm correction counts; 0 where there is none."""
    alpha: float
    """Level that decided the row, after the Holm correction."""
    detectable: float | None
    """Smallest |delta| that is detected at `alpha` with a power of 80%; infinite where none that is
    possible is."""
    adapters_low: float | None
    adapters_high: float | None
    adapters_p: float | None
    adapters_p_is_floor: bool
    adapters_p_holm: float | None
    item_se: float | None
    """Standard error of delta over the sampling of test records; the spread over seeds is apart."""
    item_df: float | None
    """Its degrees of freedom, which may be infinite."""
    no_interval: str
    """Codes of `compare.reasons.Missing`, joined by blanks; empty where there is an interval."""
    no_p: str
    method: str
    """How interval and p-value were computed, in words."""
    source: str = ""
    """The file that the row is from."""

    @property
    def decided_by(self) -> Estimand:
        """Whose p-value decides: the recipe's from three seeds on, else that of the adapters."""
        return "recipe" if self.seeds >= 3 else "adapters"

    @property
    def p(self) -> float | None:
        """Unadjusted p-value of what decides."""
        return self.p_value if self.decided_by == "recipe" else self.adapters_p

    @property
    def p_floor(self) -> bool:
        return self.p_is_floor if self.decided_by == "recipe" else self.adapters_p_is_floor

    @property
    def p_adjusted(self) -> float | None:
        """Holm-adjusted p-value of what decides; None outside of the family."""
        return self.p_holm if self.decided_by == "recipe" else self.adapters_p_holm

    @property
    def gain(self) -> float | None:
        """delta, positive where tuned is better."""
        if self.delta is None:
            return None
        return self.delta if self.higher_is_better else -self.delta

    @property
    def pair(self) -> tuple[str, str]:
        """(experiment, task)."""
        return self.experiment, self.task


FIELDS = [field.name for field in dataclasses.fields(Fact) if field.name != "source"]


def from_frame(frame: pd.DataFrame, source: str = "") -> list[Fact]:
    """The rows of a table of comparisons (its columns: `compare.table.COLUMNS`)."""
    kinds = get_type_hints(Fact)
    return [
        Fact(**{name: _typed(row[name], kinds[name]) for name in FIELDS}, source=source)
        for row in frame.to_dict("records")
    ]


def read(path: str | Path) -> list[Fact]:
    """The facts of a table's file."""
    return from_frame(table.read(path), Path(path).name)


def _typed(value: Any, kind: Any) -> Any:
    missing = value is None or (not isinstance(value, str) and pd.isna(value))
    if kind in (str, Estimand):
        return "" if missing else str(value)
    if kind is bool:
        return bool(value)
    if kind is int:
        return int(value)
    if missing:
        return None
    return float(value)

"""The smallest difference that a comparison can show, and the examples and seeds that one needs.

With the variances of a pilot, an earlier run's comparison.csv, or for scores of 0 and 1 with an
assumption. The formula is that of the column `detectable` there (Bloom 1995, "Minimum Detectable
Effects"): half of the interval at the level of the test, and the quantile of the power in standard
errors. The variance of the difference is item_sd^2 / units + seed_sd^2 / seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deltatune.compare import fact, table
from deltatune.compare.fact import Fact
from deltatune.compare.family import detectable as detectable_of_row
from deltatune.plan.settings import Planned, PlanSettings
from deltatune.tasks.registry import load_kind

DISCORDANT = 0.5
"""Assumed share of examples that one system gets right and the other wrong, without a pilot. Of
scores of 0 and 1 the difference then has the standard deviation .71; few pilots have more."""
BINARY = ("accuracy", "accuracy_calibrated", "exact_match", "exact_match_raw")
"""Metrics whose scores are 0 and 1."""
EXAMPLE = 0.05
"""A difference whose needs are named for such metrics."""
MOST_UNITS, MOST_SEEDS = 10_000_000, 100
"""Beyond these nothing is recommended."""


@dataclass(frozen=True)
class Spread:
    """How much a difference varies. item_sd: over independent test units, of one comparison.
    seed_sd: of the tuned figure over training seeds; None where that is not known."""

    item_sd: float
    seed_sd: float | None


@dataclass(frozen=True)
class Design:
    """units: independent test examples or clusters. alpha: of the test, after Holm's correction in
    its first step. level: 1 - confidence, before it."""

    units: int
    seeds: int
    alpha: float
    level: float


def detectable(spread: Spread, design: Design) -> float:
    """The smallest |delta| that is shown with a power of 80%; infinite with fewer than two units.

    Where the spread over seeds is not known, that of these adapters.
    """
    if design.units < 2:
        return math.inf
    row = {
        "no_interval": "",
        "item_se": spread.item_sd / math.sqrt(design.units),
        "item_df": design.units - 1,
        "seeds": 1 if spread.seed_sd is None else design.seeds,
        "seed_sd": spread.seed_sd,
    }
    return float(detectable_of_row(row, design.level, design.alpha))


def units_needed(spread: Spread, design: Design, delta: float) -> int | None:
    """The fewest units that show a difference with the seeds of the design; None where more seeds
    are needed."""

    def shows(units: int) -> bool:
        return detectable(spread, replace(design, units=units)) <= delta

    low, high = 1, 2
    # In small steps first: with two seeds more units can show less, as the degrees of freedom fall
    # to those of the seeds.
    while not shows(high):
        low, high = high, math.ceil(high * 1.05)
        if high > MOST_UNITS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


def seeds_needed(spread: Spread, design: Design, delta: float) -> int | None:
    """The fewest seeds, three or more, that show it with the units of the design; None where more
    units are needed, or the spread over seeds is not known."""
    if spread.seed_sd is None:
        return None

    changed = (replace(design, seeds=seeds) for seeds in range(3, MOST_SEEDS + 1))
    return next((one.seeds for one in changed if detectable(spread, one) <= delta), None)


# ---------------------------------------------------------------- pilots


def pilot(path: Path, experiment: str, task: str, metric: str) -> Fact | None:
    """What an earlier run says of a metric on a task: of the same experiment, else of another one.

    None where there is no such row with an interval, or the file is that of another version.
    """
    if not path.is_file() or not set(table.COLUMNS) <= set(table.read(path).columns):
        return None
    rows = [
        row
        for row in fact.read(path)
        if (row.task, row.metric) == (task, metric) and row.item_se and not row.no_interval
    ]
    return min(rows, key=lambda row: row.experiment != experiment, default=None)


def spread_of(row: Fact) -> Spread:
    """Variances of a pilot. Its figures are means over seeds, whose spread is apart."""
    known = row.seed_sd if row.seeds > 1 else None
    return Spread((row.item_se or 0.0) * math.sqrt(row.clusters), known)


# ---------------------------------------------------------------- one experiment


@dataclass(frozen=True)
class Power:
    """What the comparison of an experiment with its base can show.

    unit: of test units, in the plural. units: None where they are not known yet. spread: None
    where nothing is known of the variances. source: of the spread, in words.
    """

    experiment: str
    metric: str
    unit: str
    units: int | None
    seeds: int
    family: int
    confidence: float
    spread: Spread | None
    source: str

    def design(self, units: int) -> Design:
        level = round(1 - self.confidence, 12)
        return Design(units, self.seeds, level / max(self.family, 1), level)

    @property
    def detectable(self) -> float | None:
        if self.spread is None or self.units is None or self.units < 2:
            return None
        return detectable(self.spread, self.design(self.units))


def power(experiment: Planned, examples: int | None, settings: PlanSettings, path: Path) -> Power:
    """Of an experiment of the settings.

    examples: test examples that will be evaluated; None: not known, or measured in windows.
    path: of an earlier comparison.csv.
    """
    metric, unit = experiment.task.main_metric, load_kind(experiment.task.kind).UNIT
    row = pilot(path, experiment.experiment, experiment.task_name, metric)
    units, spread = examples, None
    source = "no earlier run has its variance"
    if row is not None:
        spread, source = spread_of(row), f"variances of {row.experiment} in {path}"
        unit = row.cluster_unit
        # As many clusters for each example as there.
        units = row.clusters if examples is None else round(examples * row.clusters / row.n)
    elif metric in BINARY:
        spread = Spread(math.sqrt(DISCORDANT), None)
        source = f"assumed: base and tuned differ on {DISCORDANT:.0%} of the examples"
    return Power(
        experiment=experiment.experiment,
        metric=metric,
        unit=unit,
        units=units,
        seeds=experiment.seeds,
        family=settings.family,
        confidence=settings.confidence,
        spread=spread,
        source=source,
    )


# ---------------------------------------------------------------- in words


def render(powers: Sequence[Power]) -> str:
    """A few lines for each experiment."""
    level, family = 1 - powers[0].confidence, powers[0].family
    heading = (
        "Smallest difference that the main metric can show, with a power of 80% at the level "
        f"{level:.3g} / {family} (Holm):"
    )
    return "\n".join([heading, *(line for one in powers for line in _lines(one))])


def _lines(one: Power) -> list[str]:
    title = f"{one.experiment}, {one.metric}"
    if one.spread is None:
        return [f"{title}: not known: {one.source}"]
    if one.units is None:
        return [f"{title}: not known: the number of test {one.unit} is not known yet"]
    if one.detectable is None:
        return [f"{title}: none, with {one.units} test {one.unit}"]
    shown = one.detectable
    # With several seeds their spread counts too; where it is not known, this is the least.
    least = "at least " if one.spread.seed_sd is None and one.seeds > 1 else ""
    lines = [
        f"{title}: {least}{shown:.3g} with {one.units:,} {one.unit} and {_seeds(one.seeds)} "
        f"({one.source})"
    ]
    wanted = [shown / 2, *([EXAMPLE] if one.metric in BINARY else [])]
    return [*lines, *(f"  for {delta:.3g}: {_needs(one, delta)}" for delta in wanted)]


def _needs(one: Power, delta: float) -> str:
    """What shows a difference: more test units, more seeds, or both."""
    spread, design = one.spread, one.design(one.units or 2)
    assert spread is not None
    units, seeds = units_needed(spread, design, delta), seeds_needed(spread, design, delta)
    ways = []
    if units is not None:
        ways.append(f"{units:,} {one.unit} with {_seeds(one.seeds)}")
    if seeds is not None:
        ways.append(f"{_seeds(seeds)} with {design.units:,} {one.unit}")
    if not ways:
        for more in range(max(one.seeds, 2) + 1, MOST_SEEDS + 1):
            both = units_needed(spread, replace(design, seeds=more), delta)
            if both is not None:
                return f"{both:,} {one.unit} and {_seeds(more)}"
    return " or ".join(ways) or "not within reach"


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count > 1 else ''}"

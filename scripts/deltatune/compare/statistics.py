"""Tuned systems against their base on the same examples, by one metric: interval and p-value.

Two questions are answered, each with its own interval and p-value. *These adapters*: would they
differ from the base on other test records of the same kind? The records alone are random. *This
recipe*: would an adapter that is trained anew with another seed? Records and seeds are random.

What is independent are *units*: examples, or clusters of them (chapters of a book), whose
statistics are summed first, since neighboring windows of one chapter resemble each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deltatune.compare import intervals
from deltatune.compare.fact import Estimand
from deltatune.compare.intervals import Aggregate, Error, Part
from deltatune.compare.permutation import sign_flip
from deltatune.compare.reasons import MIN_TESTED, Missing
from deltatune.core.errors import UserError

MIN_PERMUTED = 20
"""Units, below which the smallest p-value of a sign-flip test, 2 / 2^units, is too large to survive
the correction for a family of tests; Student's t stands in."""
MIN_DIFFERING = 20
"""Examples that must differ where most do not: Student's t covers too little with fewer."""
FLOORS = 20
"""The smallest p-value of the permutation test is the family's share of alpha, divided by this."""
_MOST_DRAWS = 1_000_000


@dataclass(frozen=True)
class Comparison:
    """A base and its tuned systems on the same examples, by one metric.

    base, tuned   the figures of the whole set; means over the training seeds
    delta         tuned - base
    seed_sd       standard deviation of the tuned figure over training seeds; NaN for one
    n, units      examples, and what of them is independent
    differing     examples whose statistics differ between base and tuned, for any seed
    records       squared standard error over test records; NaN where it is not known
    estimand, ci_low, ci_high, p_value, p_is_floor
                  of the recipe, from two seeds on; of the adapter, for one
    adapters_*    of these adapters
    no_interval, no_p
                  why ci_low or p_value is NaN
    method        in words
    """

    base: float
    tuned: float
    delta: float
    seed_sd: float
    n: int
    units: int
    differing: int
    records: Part
    estimand: Estimand
    ci_low: float
    ci_high: float
    p_value: float
    p_is_floor: bool
    adapters_low: float
    adapters_high: float
    adapters_p: float
    adapters_p_is_floor: bool
    no_interval: tuple[Missing, ...]
    no_p: tuple[Missing, ...]
    method: str


def compare(
    base: np.ndarray | Sequence[np.ndarray],
    tuned: Sequence[np.ndarray],
    aggregate: Aggregate,
    *,
    clusters: np.ndarray | None = None,
    rare: bool = False,
    resamples: int = 9999,
    confidence: float = 0.95,
    family: int = 1,
    seed: int = 0,
) -> Comparison:
    """Compare tuned systems with their base, paired example by example.

    base        statistics of the base, [n, k]; or those of another recipe's systems, one [n, k] for
                each seed, as many as of `tuned`
    tuned       statistics of the tuned systems, one [n, k] for each training seed
    aggregate   totals [..., k] -> figures [...], vectorized
    clusters    [n] the cluster of each example, or None where examples are independent
    rare        whether a class has too few examples for an interval (macro F1)
    resamples   least number of permutations; `family` may need more
    confidence  of the intervals
    family      how many tests the Holm correction will count
    seed        makes every draw repeatable

    Raises UserError when there are no examples, no tuned systems, or shapes do not agree.
    """
    base_systems = _stack(base if isinstance(base, list | tuple) else [base])
    tuned_systems = _stack(_paired(base_systems[0], tuned))
    if len(base_systems) not in (1, len(tuned_systems)):
        raise UserError(
            f"{len(base_systems)} systems of one recipe cannot be compared with "
            f"{len(tuned_systems)} of another: train both with as many seeds"
        )
    n = tuned_systems.shape[1]
    scale = np.abs(tuned_systems).max(initial=1.0)
    differing = int((np.abs(tuned_systems - base_systems) > 1e-12 * scale).any((0, 2)).sum())
    binary = _is_binary(base_systems) and _is_binary(tuned_systems)
    if clusters is not None:
        base_systems = _sum_clusters(base_systems, np.asarray(clusters))
        tuned_systems = _sum_clusters(tuned_systems, np.asarray(clusters))
    units = tuned_systems.shape[1]
    paired_binary = binary and units == n

    def delta_of(base_totals: np.ndarray, tuned_totals: np.ndarray) -> np.ndarray:
        """Means over seeds of tuned minus base: totals [., b, k] twice -> [b]."""
        with np.errstate(invalid="ignore"):  # inf - inf; what is not finite is looked for
            return aggregate(tuned_totals).mean(axis=0) - aggregate(base_totals).mean(axis=0)

    base_figures = np.asarray(aggregate(base_systems.sum(axis=1)), dtype=np.float64)
    tuned_figures = np.asarray(aggregate(tuned_systems.sum(axis=1)), dtype=np.float64)
    with np.errstate(invalid="ignore"):
        delta = float(tuned_figures.mean() - base_figures.mean())
    seeds = len(tuned_figures)

    center, records = delta, Part(math.nan, math.nan)
    missing: list[Missing] = []
    if not np.isfinite(delta):
        missing.append(Missing.NOT_FINITE)
    elif units == 1:
        missing.append(Missing.ONE_CLUSTER)
    elif paired_binary:
        center, records = intervals.agresti_min(
            (tuned_systems[..., 0] - base_systems[..., 0]).mean(axis=0)
        )
    else:
        count = len(base_systems)
        both = np.concatenate([base_systems, tuned_systems])
        records = intervals.jackknife(lambda t: delta_of(t[:count], t[count:]), both)
        tolerance = 1e-12 * max(float(np.abs(tuned_figures).max()), abs(delta))
        if not math.isfinite(records.variance):
            missing.append(Missing.NOT_FINITE)
        elif math.sqrt(records.variance) <= tolerance:
            missing.append(Missing.CONSTANT)
            records = Part(0.0, records.df)
        elif rare:
            missing.append(Missing.RARE_CLASS)
        elif units == n and differing < min(MIN_DIFFERING, n / 2):
            missing.append(Missing.FEW_DIFFERING)

    errors = {
        "adapters": Error(records),
        "recipe": Error(records, intervals.seed_part(base_figures, tuned_figures), seeds),
    }
    bounds = (-1.0, 1.0) if binary else (-math.inf, math.inf)
    results: dict[str, tuple[float, float, float, bool]] = {}
    untested = [Missing.FEW_CLUSTERS] if 1 < units < MIN_TESTED else []
    draws = _draws(resamples, confidence, family)
    permuted = (math.nan, False)
    # Of zeros and ones the test is McNemar's, exact for any number of examples.
    if (units >= MIN_PERMUTED or paired_binary) and not any(code in _NO_P for code in missing):
        tolerance = 1e-12 * float(np.abs(np.concatenate([base_figures, tuned_figures])).max())
        permuted = sign_flip(delta_of, base_systems, tuned_systems, draws, seed, tolerance)
        if math.isnan(permuted[0]):
            untested.append(Missing.NOT_FINITE)
    for estimand, error in errors.items():
        low = high = math.nan
        if not missing:
            half = error.half_width(1 - confidence)
            low, high = max(center - half, bounds[0]), min(center + half, bounds[1])
        results[estimand] = (low, high, *_p_value(estimand, error, center, permuted))
    estimand: Estimand = "adapters" if seeds == 1 else "recipe"
    if seeds == 2:
        untested.append(Missing.TWO_SEEDS)
    chosen, adapters = results[estimand], results["adapters"]
    no_p = [*(m for m in missing if m in _NO_P), *untested]
    if no_p:
        chosen = (*chosen[:2], math.nan, False)
    if [code for code in no_p if code is not Missing.TWO_SEEDS]:
        adapters = (*adapters[:2], math.nan, False)
    return Comparison(
        base=float(base_figures.mean()),
        tuned=float(tuned_figures.mean()),
        delta=delta,
        seed_sd=float(np.std(tuned_figures, ddof=1)) if seeds > 1 else math.nan,
        n=n,
        units=units,
        differing=differing,
        records=records,
        estimand=estimand,
        ci_low=chosen[0],
        ci_high=chosen[1],
        p_value=chosen[2],
        p_is_floor=chosen[3],
        adapters_low=adapters[0],
        adapters_high=adapters[1],
        adapters_p=adapters[2],
        adapters_p_is_floor=adapters[3],
        no_interval=tuple(missing),
        no_p=tuple(no_p) if math.isnan(chosen[2]) else (),
        method=_method(
            paired_binary, units, n, seeds, 0 if math.isnan(permuted[0]) else draws, missing
        ),
    )


_NO_P = (Missing.NOT_FINITE, Missing.ONE_CLUSTER)


def _p_value(
    estimand: Estimand, error: Error, center: float, permuted: tuple[float, bool]
) -> tuple[float, bool]:
    """(p-value, whether it is the smallest that the permutations can give).

    Of the adapters it is that of the permutation test, which is exact, or with few units that of
    the interval. Of the recipe it is that of its interval; but a claim about the recipe is one
    about its adapters too, so it is never below theirs.
    """
    p, _ = permuted
    if not math.isfinite(error.records.variance):
        return math.nan, False
    own = error.p_value(center)
    if math.isnan(p):
        return own, False
    if estimand == "adapters" or math.isnan(own) or own < p:
        return permuted
    return own, False


def _draws(resamples: int, confidence: float, family: int) -> int:
    """Permutations: as many as let the smallest p-value survive the correction of the family."""
    needed = math.ceil(FLOORS * max(family, 1) / (1 - confidence))
    return max(resamples, min(needed, _MOST_DRAWS))


def _is_binary(systems: np.ndarray) -> bool:
    """Whether statistics [systems, n, k] are those of a mean of zeros and ones."""
    if systems.shape[2] != 2:
        return False
    score, count = systems[..., 0], systems[..., 1]
    return bool((count == 1).all() and ((score == 0) | (score == 1)).all())


def _method(
    binary: bool, units: int, n: int, seeds: int, draws: int, missing: Sequence[Missing]
) -> str:
    """How interval and p-value were computed. draws: 0 where nothing was permuted."""
    what = f"{units:,} examples" if units == n else f"{units:,} clusters"
    if any(code in _NO_P for code in missing):
        return f"no interval and no p-value: {missing[0].words}"
    if binary:
        parts = [f"interval: Agresti-Min on {what}"]
    else:
        parts = [f"interval: Student's t ({units - 1:,} df), jackknife over {what}"]
    if missing:
        parts = [f"no interval: {missing[0].words}"]
    if seeds in (3, 4):
        parts.append(f"with the spread of {seeds} seeds, root of the squared half-widths")
    elif seeds > 1:
        parts.append(f"with the spread of {seeds} seeds, Satterthwaite's df")
    if draws:
        parts.append(f"p: sign-flip permutation, {draws:,} draws")
        if seeds > 2:
            parts.append("or that of the interval where it is larger")
    elif units >= MIN_TESTED:
        parts.append("p: that of the interval")
    return "; ".join(parts)


def _stack(systems: Sequence[np.ndarray]) -> np.ndarray:
    """Statistics of several systems, [systems, n, k]."""
    arrays = [np.asarray(one, dtype=np.float64) for one in systems]
    if arrays[0].ndim != 2 or arrays[0].shape[0] == 0:
        raise UserError(f"nothing to compare: the base has scores of shape {arrays[0].shape}")
    return np.stack(arrays)


def _paired(base: np.ndarray, tuned: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """`tuned`, checked to have the shape of `base`: the same examples, the same metric."""
    if len(tuned) == 0:
        raise UserError("nothing to compare: there is no tuned system")
    for number, system in enumerate(tuned):
        if np.shape(system) != base.shape:
            raise UserError(
                f"the base has scores of shape {base.shape}, tuned system {number + 1} of "
                f"{len(tuned)} of shape {np.shape(system)}: a paired comparison needs the same "
                f"examples and metric; evaluate both again"
            )
    return tuned


def _sum_clusters(systems: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Sum statistics [systems, n, k] within clusters [n] -> [systems, units, k]."""
    n = systems.shape[1]
    if clusters.shape != (n,):
        raise UserError(f"{n} examples need {n} clusters, not an array of shape {clusters.shape}")
    names, position = np.unique(clusters, return_inverse=True)
    if len(names) == n:
        return systems
    summed = np.zeros((systems.shape[0], len(names), systems.shape[2]))
    for system, out in zip(systems, summed, strict=True):
        np.add.at(out, position, system)
    return summed

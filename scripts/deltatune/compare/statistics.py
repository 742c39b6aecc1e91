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
from deltatune.compare.sample import Sample, sample

MIN_PERMUTED = 20
"""Units, below which the smallest p-value of a sign-flip test, 2 / 2^units, is too large to survive
the correction for a family of tests; Student's t stands in where there is an interval."""
MIN_DIFFERING = 20
"""Units that must differ where most do not: Student's t covers too little with fewer."""
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
    most: float = math.inf,
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
    most        the largest |delta| that is possible, where no interval goes beyond
    resamples   least number of permutations; `family` may need more
    confidence  of the intervals
    family      how many tests the Holm correction will count
    seed        makes every draw repeatable

    Raises UserError when there are no examples, no tuned systems, or shapes do not agree.
    """
    whole = sample(base, tuned, aggregate, clusters)
    center, records, missing = _records(whole, rare)
    no_p = [code for code in missing if code in _NO_P]
    if 1 < whole.units < MIN_TESTED:
        no_p.append(Missing.FEW_CLUSTERS)
    draws, permuted = 0, (math.nan, False)
    # Of zeros and ones the test is McNemar's, exact for any number of examples. Where there is no
    # interval, there is no p-value of it either.
    if (whole.units >= MIN_PERMUTED or whole.paired_binary or missing) and not no_p:
        draws = _draws(resamples, confidence, family)
        permuted = _permuted(whole, draws, seed)
    if draws and math.isnan(permuted[0]):
        draws = 0
        no_p.append(Missing.NOT_FINITE)
    most = min(most, 1.0) if whole.binary else most

    def estimate(estimand: Estimand, error: Error) -> _Estimate:
        low = high = math.nan
        if not missing:
            half = error.half_width(1 - confidence)
            low, high = max(center - half, -most), min(center + half, most)
        p = (math.nan, False) if no_p else _p_value(estimand, error, center, permuted)
        return _Estimate(estimand, low, high, *p)

    chosen = adapters = estimate("adapters", Error(records))
    if whole.seeds > 1:
        no_p += [Missing.TWO_SEEDS] if whole.seeds == 2 else []
        error = Error(records, intervals.seed_part(*whole.figures), whole.seeds)
        chosen = estimate("recipe", error)
    method = _method(whole, draws, missing, tested=math.isfinite(adapters.p_value))
    return _comparison(whole, records, chosen, adapters, missing, no_p, method)


@dataclass(frozen=True)
class _Estimate:
    """An interval and a p-value, NaN where there is none."""

    estimand: Estimand
    low: float
    high: float
    p_value: float
    p_is_floor: bool


def _comparison(
    whole: Sample,
    records: Part,
    chosen: _Estimate,
    adapters: _Estimate,
    missing: Sequence[Missing],
    no_p: Sequence[Missing],
    method: str,
) -> Comparison:
    base, tuned = whole.figures
    return Comparison(
        base=float(base.mean()),
        tuned=float(tuned.mean()),
        delta=whole.delta,
        seed_sd=float(np.std(tuned, ddof=1)) if whole.seeds > 1 else math.nan,
        n=whole.n,
        units=whole.units,
        differing=whole.differing,
        records=records,
        estimand=chosen.estimand,
        ci_low=chosen.low,
        ci_high=chosen.high,
        p_value=chosen.p_value,
        p_is_floor=chosen.p_is_floor,
        adapters_low=adapters.low,
        adapters_high=adapters.high,
        adapters_p=adapters.p_value,
        adapters_p_is_floor=adapters.p_is_floor,
        no_interval=tuple(missing),
        no_p=tuple(no_p) if math.isnan(chosen.p_value) else (),
        method=method,
    )


def _permuted(whole: Sample, draws: int, seed: int) -> tuple[float, bool]:
    """See `sign_flip`."""
    tolerance = 1e-12 * float(np.abs(np.concatenate(whole.figures)).max())
    return sign_flip(whole.delta_of, whole.base, whole.tuned, draws, seed, tolerance)


def _records(whole: Sample, rare: bool) -> tuple[float, Part, list[Missing]]:
    """(center of the interval, squared standard error over records, why there is no interval)."""
    delta, unknown = whole.delta, Part(math.nan, math.nan)
    if not np.isfinite(delta):
        return delta, unknown, [Missing.NOT_FINITE]
    if whole.units == 1:
        return delta, unknown, [Missing.ONE_CLUSTER]
    if whole.paired_binary:
        differences = (whole.tuned[..., 0] - whole.base[..., 0]).mean(axis=0)
        return *intervals.agresti_min(differences), []
    count, both = len(whole.base), np.concatenate([whole.base, whole.tuned])
    records = intervals.jackknife(lambda t: whole.delta_of(t[:count], t[count:]), both)
    tolerance = 1e-12 * max(float(np.abs(whole.figures[1]).max()), abs(delta))
    if not math.isfinite(records.variance):
        return delta, records, [Missing.NOT_FINITE]
    if math.sqrt(records.variance) <= tolerance:
        return delta, Part(0.0, records.df), [Missing.CONSTANT]
    if rare:
        return delta, records, [Missing.RARE_CLASS]
    if whole.differing_units < min(MIN_DIFFERING, whole.units / 2):
        alone = whole.units == whole.n
        return delta, records, [Missing.FEW_DIFFERING if alone else Missing.FEW_CLUSTERS_DIFFER]
    return delta, records, []


_NO_P = (Missing.NOT_FINITE, Missing.ONE_CLUSTER)


def _p_value(
    estimand: Estimand, error: Error, center: float, permuted: tuple[float, bool]
) -> tuple[float, bool]:
    """(p-value, whether it is the smallest that the permutations can give).

    Of the adapters it is that of the permutation test, which is exact, or with few units that of
    the interval, where there is one. Of the recipe it is that of its interval; but a claim about
    the recipe is one about its adapters too, so it is never below theirs.
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


def _method(whole: Sample, draws: int, missing: Sequence[Missing], tested: bool) -> str:
    """How interval and p-value were computed. draws: 0 where nothing was permuted. tested: whether
    there is a p-value."""
    units, seeds = whole.units, whole.seeds
    what = f"{units:,} examples" if units == whole.n else f"{units:,} clusters"
    if any(code in _NO_P for code in missing):
        return f"no interval and no p-value: {missing[0].words}"
    if whole.paired_binary:
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
    elif tested:
        parts.append("p: that of the interval")
    return "; ".join(parts)

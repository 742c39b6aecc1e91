"""Paired bootstrap and permutation test of tuned systems against their base, for any metric that
is a function of sums.

What is resampled are *units*: examples, or clusters of them (chapters of a book), whose statistics
are summed first, since neighboring windows of one chapter are not independent. A resample is a row
of counts (how often each unit is drawn), so that all the resampled sums are one matrix product,
counts [b, units] @ statistics [units, k], in batches of bounded memory.

The BCa interval is computed here and not by `scipy.stats.bootstrap`, which copies rows instead.
Measured on one core with 7,600 examples, 9,999 resamples and 60 statistics, one tuned system:
scipy 1.17 in batches of 50 took 29 s and 300 MB, this module 1.6 s and 200 MB with the permutation
test included. From one generator both draw the same resamples and give the same interval
(tests/golden/test_statistics_golden.py).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from deltatune.core.errors import UserError

Aggregate = Callable[[np.ndarray], np.ndarray]
"""Sums [..., k] -> figures [...], as `metrics.base.Metric.aggregate`."""

_BATCH_BYTES = 32 * 2**20
_FEW_UNITS = 20
_POWER = 0.8


@dataclass(frozen=True)
class Comparison:
    """A base and its tuned systems on the same examples, by one metric.

    base, tuned         the figures of the whole set; tuned is the mean over the training seeds
    delta               tuned - base
    ci_low, ci_high     confidence interval of delta over the sampling of units, for the systems as
                        trained (the spread over seeds is apart, in seed_sd)
    p_value             two-sided, under the hypothesis that base and tuned are exchangeable
    seed_sd             standard deviation of the tuned figure over training seeds; NaN for one
    minimum_detectable_effect
                        the smallest |delta| that a two-sided test at this level detects with a
                        power of 80%
    n                   examples
    unit, units         what was resampled ("example" or "cluster") and how many there are
    method              in words: how interval and p-value were computed, or why one is missing
    """

    base: float
    tuned: float
    delta: float
    ci_low: float
    ci_high: float
    p_value: float
    seed_sd: float
    minimum_detectable_effect: float
    n: int
    unit: str
    units: int
    method: str


def compare(
    base: np.ndarray,
    tuned: Sequence[np.ndarray],
    aggregate: Aggregate,
    clusters: np.ndarray | None = None,
    resamples: int = 9999,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare tuned systems with their base, paired example by example.

    base        statistics of the base, [n, k]
    tuned       statistics of the tuned systems, one [n, k] for each training seed, same examples
    aggregate   sums [..., k] -> figures [...], vectorized
    clusters    [n] the cluster of each example, or None where examples are independent (which
                is the same as a cluster for each)
    resamples   of the bootstrap and of the permutation test, each
    confidence  of the interval; 1 - confidence is also the level of the minimum detectable effect
    seed        makes every draw repeatable

    Raises UserError when there are no examples, no tuned systems, or shapes do not agree.
    """
    base = np.asarray(base, dtype=np.float64)
    systems = np.stack([np.asarray(one, dtype=np.float64) for one in (base, *_paired(base, tuned))])
    n = base.shape[0]
    if clusters is not None:
        systems = _sum_clusters(systems, np.asarray(clusters), n)
    units = systems.shape[1]
    unit = "example" if units == n else "cluster"

    figures = np.asarray(aggregate(systems.sum(axis=1)), dtype=np.float64)
    seeds = figures[1:]
    base_figure, tuned_figure = float(figures[0]), float(seeds.mean())
    delta = tuned_figure - base_figure
    seed_sd = float(np.std(seeds, ddof=1)) if len(seeds) > 1 else math.nan

    low = high = effect = p_value = math.nan
    if not np.isfinite(delta):
        method = "no interval and no p-value: a figure is not finite"
    elif units == 1:
        p_value = 1.0
        method = f"no interval, and p = 1: there is only one {unit}, so no spread to judge by"
    else:
        low, high, error, name = _bootstrap_interval(
            systems, aggregate, resamples, confidence, seed
        )
        effect = _minimum_detectable_effect(error, confidence)
        p_value, test = _permutation_test(systems, aggregate, resamples, seed)
        method = f"{name} bootstrap of {units} {unit}s, {resamples} resamples; {test}"
        if units < _FEW_UNITS:
            method += f"; only {units} {unit}s: take both as rough"
    return Comparison(
        base=base_figure,
        tuned=tuned_figure,
        delta=delta,
        ci_low=low,
        ci_high=high,
        p_value=p_value,
        seed_sd=seed_sd,
        minimum_detectable_effect=effect,
        n=n,
        unit=unit,
        units=units,
        method=method,
    )


def holm(p: Sequence[float]) -> np.ndarray:
    """p-values adjusted for multiple testing by Holm's step-down method, [m] -> [m].

    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure"; from statsmodels.

    A NaN (a comparison that could not be tested) stays NaN and does not count as a test.
    """
    from statsmodels.stats.multitest import multipletests

    adjusted = np.array(p, dtype=np.float64)
    tested = ~np.isnan(adjusted)
    if tested.any():
        adjusted[tested] = multipletests(adjusted[tested], method="holm")[1]
    return adjusted


def _paired(base: np.ndarray, tuned: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """`tuned`, checked to have the shape of `base`: the same examples, the same metric."""
    if base.ndim != 2 or base.shape[0] == 0:
        raise UserError(f"nothing to compare: the base has scores of shape {base.shape}")
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


def _sum_clusters(systems: np.ndarray, clusters: np.ndarray, n: int) -> np.ndarray:
    """Sum statistics [systems, n, k] within clusters [n] -> [systems, units, k]."""
    if clusters.shape != (n,):
        raise UserError(f"{n} examples need {n} clusters, not an array of shape {clusters.shape}")
    names, position = np.unique(clusters, return_inverse=True)
    if len(names) == n:
        return systems
    summed = np.zeros((systems.shape[0], len(names), systems.shape[2]))
    for system, out in zip(systems, summed, strict=True):
        np.add.at(out, position, system)
    return summed


def _delta(aggregate: Aggregate, base: np.ndarray, tuned: np.ndarray) -> np.ndarray:
    """Mean over seeds of tuned figures minus base figures: sums [S, b, k] twice -> [b]."""
    with np.errstate(invalid="ignore"):  # inf - inf; the callers look for what is not finite
        return aggregate(tuned).mean(axis=0) - aggregate(base).mean(axis=0)


def _batches(total: int, units: int) -> list[int]:
    """Split `total` resamples of `units` 8-byte numbers into batches of bounded memory."""
    size = max(1, _BATCH_BYTES // (8 * units))
    return [min(size, total - start) for start in range(0, total, size)]


def _weighted_sums(weights: np.ndarray, systems: np.ndarray) -> np.ndarray:
    """Weighted sums of units: weights [b, units], statistics [S, units, k] -> [S, b, k]."""
    count, units, k = systems.shape
    flat = systems.transpose(1, 0, 2).reshape(units, count * k)
    return (weights @ flat).reshape(-1, count, k).transpose(1, 0, 2)


def _bootstrap_interval(
    systems: np.ndarray, aggregate: Aggregate, resamples: int, confidence: float, seed: int
) -> tuple[float, float, float, str]:
    """Bootstrap interval of delta over units: low, high, standard error, name of the method.

    BCa (bias-corrected and accelerated): Efron 1987, "Better Bootstrap Confidence Intervals";
    Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 14.3, equations 14.9
    (limits), 14.14 (bias correction z0) and 14.15 (acceleration a, from the jackknife). Ties with
    delta count half in z0, as in scipy.

    Like every bootstrap it is a little narrow on small sets. Of 2,000 simulated sets of 60 the 95%
    interval of a mean covered 94% with normal differences, 93% with Laplace ones (percentiles 94%,
    Student's t 96%) and 92% with log-normal ones (percentiles 91%, t 92%).
    """
    units = systems.shape[1]
    rng = np.random.default_rng([seed, 1])
    batches = []
    for size in _batches(resamples, units):
        drawn = rng.integers(0, units, size=(size, units))
        drawn += np.arange(size)[:, None] * units
        counts = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units)
        totals = _weighted_sums(counts.astype(np.float64), systems)
        batches.append(_delta(aggregate, totals[:1], totals[1:]))
    deltas = np.concatenate(batches)

    total = systems.sum(axis=1)
    delta = float(_delta(aggregate, total[:1, None], total[1:, None])[0])
    if not np.isfinite(deltas).all():
        return math.nan, math.nan, math.nan, "no interval, as a figure is not finite in some"
    error = float(np.std(deltas, ddof=1)) if resamples > 1 else math.nan
    tolerance = _tolerance(aggregate(total))
    if np.ptp(deltas) <= tolerance:
        return delta, delta, 0.0, "constant (delta never varies)"

    tail = (1 - confidence) / 2
    below = np.mean(deltas < delta - tolerance)
    not_above = np.mean(deltas <= delta + tolerance)
    z0 = ndtri((below + not_above) / 2)
    leave_one_out = total[:, None] - systems
    jackknife = _delta(aggregate, leave_one_out[:1], leave_one_out[1:])
    deviations = jackknife.mean() - jackknife
    with np.errstate(invalid="ignore", divide="ignore"):
        acceleration = (deviations**3).sum() / (6 * (deviations**2).sum() ** 1.5)
        z = z0 + ndtri([tail, 1 - tail])
        levels = ndtr(z0 + z / (1 - acceleration * z))
    name = "BCa"
    if not np.isfinite(levels).all():
        name, levels = "percentile (BCa has no solution)", np.array([tail, 1 - tail])
    low, high = np.percentile(deltas, 100 * levels)
    return float(low), float(high), error, name


def _permutation_test(
    systems: np.ndarray, aggregate: Aggregate, resamples: int, seed: int
) -> tuple[float, str]:
    """Two-sided p-value by approximate randomization, and the method in words.

    Noreen 1989, "Computer-Intensive Methods for Testing Hypotheses": if tuning changed nothing,
    base and tuned are exchangeable within each unit, so swap them at random (for several
    training seeds, in the same units for all) and count how often |delta| is as large as the
    observed one. (1 + count) / (1 + B) counts the data themselves as one draw, which keeps the test
    exact; where all 2^units swaps are no more than `resamples` they are all made, and p is their
    share.
    """
    units = systems.shape[1]
    base, tuned = systems[:1], systems[1:]
    change = tuned - base
    base_sum, tuned_sum = base.sum(axis=1)[:, None], tuned.sum(axis=1)[:, None]
    observed = abs(_delta(aggregate, base_sum, tuned_sum)[0])
    threshold = observed - _tolerance(aggregate(systems.sum(axis=1)))

    exact = 2**units <= resamples
    rng = np.random.default_rng([seed, 2])
    count, start = 0, 0
    for size in _batches(2**units if exact else resamples, units):
        if exact:
            swaps = np.arange(start, start + size)[:, None] >> np.arange(units) & 1
        else:
            random = rng.integers(0, 256, size=(size, -(-units // 8)), dtype=np.uint8)
            swaps = np.unpackbits(random, axis=1, count=units)
        moved = _weighted_sums(swaps.astype(np.float64), change)
        deltas = _delta(aggregate, base_sum + moved, tuned_sum - moved)
        if not np.isfinite(deltas).all():
            return math.nan, "no p-value: a permuted figure is not finite"
        count += int(np.count_nonzero(np.abs(deltas) >= threshold))
        start += size
    if exact:
        return count / start, f"sign-flip permutation, all {start}"
    return (1 + count) / (1 + resamples), f"sign-flip permutation, {resamples} draws"


def _minimum_detectable_effect(standard_error: float, confidence: float) -> float:
    """The |delta| that a two-sided z-test at the level 1 - confidence detects with _POWER.

    Bloom 1995, "Minimum Detectable Effects": (z of the level + z of the power) standard errors.
    """
    return float(ndtri(0.5 + confidence / 2) + ndtri(_POWER)) * standard_error


def _tolerance(figures: np.ndarray) -> float:
    """Differences below this are rounding: sums in another order differ by as much."""
    return 1e-12 * float(np.abs(figures).max())

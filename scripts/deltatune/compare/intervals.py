"""Intervals and p-values of a difference whose error has two parts: test records, training seeds.

The part of the records is the squared standard error of the difference for these adapters, with its
degrees of freedom. The part of the seeds is the variance of the tuned figure over seeds, divided by
their number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import brentq

Aggregate = Callable[[np.ndarray], np.ndarray]
"""Totals [..., k] -> figures [...], as `metrics.base.Metric.aggregate`."""

POWER = 0.8


@dataclass(frozen=True)
class Part:
    """A source of error: a variance of the difference, and its degrees of freedom."""

    variance: float
    df: float


@dataclass(frozen=True)
class Error:
    """What the difference is uncertain by. seeds: training seeds, of the side with the fewest
    where both were trained; 1 where the adapters are taken as they are."""

    records: Part
    seeds: Part = Part(0.0, math.inf)
    count: int = 1

    @property
    def standard_error(self) -> float:
        return math.sqrt(self.records.variance + self.seeds.variance)

    def half_width(self, level: float) -> float:
        """Half of the interval that misses with probability `level`.

        One seed: Student's t. Two, or five and more: t with Satterthwaite's degrees of freedom
        (1946, "An Approximate Distribution of Estimates of Variance Components"). Three or four:
        the root of the sum of the squared half-widths of both parts, since Satterthwaite's is too
        narrow where a part of few degrees of freedom is neither small nor large.
        """
        records, seeds = self.records, self.seeds
        if self.count in (3, 4):
            # At the smallest levels a quantile is infinite, and no part is infinite times nothing.
            parts = [part for part in (records, seeds) if part.variance > 0]
            return math.sqrt(sum(_t(level, part.df) ** 2 * part.variance for part in parts))
        total = records.variance + seeds.variance
        return _t(level, self._satterthwaite()) * math.sqrt(total)

    def p_value(self, delta: float) -> float:
        """Two-sided: the level at which the interval just touches zero."""
        if self.standard_error == 0:
            return 1.0 if delta == 0 else math.nan
        if self.count not in (3, 4):
            t = abs(delta) / self.standard_error
            return float(2 * stats.t.sf(t, self._satterthwaite()))
        # On the logarithm of the level: it spans many orders of magnitude.
        low = math.log(1e-300)
        if self.half_width(math.exp(low)) <= abs(delta):
            return math.exp(low)
        level = brentq(lambda x: self.half_width(math.exp(x)) - abs(delta), low, 0.0)
        return float(math.exp(level))

    def detectable(self, alpha: float) -> float:
        """The |delta| that a two-sided test at the level alpha detects with a power of 80%.

        Bloom 1995, "Minimum Detectable Effects": the half-width, and the quantile of the power in
        standard errors.
        """
        return self.half_width(alpha) + float(stats.norm.ppf(POWER)) * self.standard_error

    def _satterthwaite(self) -> float:
        parts = (self.records, self.seeds)
        total = sum(part.variance for part in parts)
        loss = sum(part.variance**2 / part.df for part in parts)
        return total**2 / loss if loss > 0 else math.inf


def _t(level: float, df: float) -> float:
    """The two-sided critical value of Student's t; of the normal distribution for infinite df."""
    return float(stats.t.isf(level / 2, df))


def seed_part(*groups: Sequence[float]) -> Part:
    """The part of the seeds, from the figures of each trained side, one for each seed.

    Of two sides the variances add up, with Welch's degrees of freedom.
    """
    trained = [np.asarray(group, dtype=np.float64) for group in groups if len(group) > 1]
    variances = [float(np.var(group, ddof=1)) / len(group) for group in trained]
    total = sum(variances)
    loss = sum(v**2 / (len(g) - 1) for v, g in zip(variances, trained, strict=True))
    least = min((len(group) - 1 for group in trained), default=math.inf)
    return Part(total, total**2 / loss if loss > 0 else least)


def jackknife(delta: Callable[[np.ndarray], np.ndarray], systems: np.ndarray) -> Part:
    """The part of the records by leaving out one unit at a time (Efron and Stein 1981, "The
    Jackknife Estimate of Variance").

    systems: statistics [systems, units, k], two units or more. delta: totals [systems, b, k] ->
    differences [b]. For a mean it is the textbook's variance of a mean of paired differences, and
    for totals of clusters of unequal size that of a ratio.
    """
    units = systems.shape[1]
    left = delta(systems.sum(axis=1)[:, None] - systems)
    variance = (units - 1) / units * float(((left - left.mean()) ** 2).sum())
    return Part(variance, units - 1)


def agresti_min(differences: np.ndarray) -> tuple[float, Part]:
    """Center and squared standard error of the mean of paired differences of binary scores.

    differences: [n], each from -1 to 1: the mean over seeds of tuned minus base. Agresti and Min
    2005, "Simple Improved Confidence Intervals for Comparing Matched Proportions": half a pair is
    added to each cell of the table of pairs, so that there is an interval where all are right, or
    all wrong. For several seeds the number of discordant pairs becomes the sum of the squares.
    """
    n = len(differences) + 2
    total, squares = float(differences.sum()), float((differences**2).sum())
    return total / n, Part((squares + 1 - total**2 / n) / n**2, math.inf)

"""Differences of all metrics on one scale without a unit, so that they fit one axis.

Two measures, each with a source:

- A score: the difference divided by the standard deviation of the paired differences (Cohen 1988,
  "Statistical Power Analysis", section 2.3.5; d_z of Lakens 2013, doi:10.3389/fpsyg.2013.00863).
  0.2, 0.5 and 0.8 are a small, a medium and a large one by Cohen's convention. The standard
  deviation is the standard error over test records times the root of the number of independent
  ones, which holds for figures that are no means as well (BLEU, macro F1). Rates are not taken as
  log odds: a base that is never right has none.
- Perplexity and its kin, without a ceiling: the natural logarithm of base / tuned, the response
  ratio of Hedges, Gurevitch and Curtis 1999 (doi:10.1890/0012-9658(1999)080[1150:TMAORR]2.0.CO;2).
  0.69 is half the perplexity; for perplexity itself it is also the gain in nats per token.

Both are signed so that better is above zero. The ends of an interval are those of the table by the
same rule, with the standard deviation or the base taken as known: zero is inside of the one where
it is inside of the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from deltatune.compare.fact import Fact
from deltatune.report.numbers import finite


@dataclass(frozen=True)
class Effect:
    """A difference on the common scale; above zero is better."""

    value: float | None
    """None where there is no difference, or nothing to divide it by."""
    low: float | None
    """Of the interval of the estimand; infinite where the logarithm of its end is."""
    high: float | None
    inner_low: float | None
    """Of the interval of these adapters."""
    inner_high: float | None
    is_ratio: bool
    """Whether it is a logarithm of a ratio, and not in standard deviations."""


def effect(fact: Fact) -> Effect:
    """The difference of a fact on the common scale."""
    is_ratio = is_by_ratio(fact)
    low, high = _interval(fact, fact.ci_low, fact.ci_high, is_ratio)
    inner_low, inner_high = _interval(fact, fact.adapters_low, fact.adapters_high, is_ratio)
    return Effect(_place(fact, fact.delta, is_ratio), low, high, inner_low, inner_high, is_ratio)


def is_by_ratio(fact: Fact) -> bool:
    """Whether a fact is of perplexity or its kin, as `numbers.percent_change` tells them."""
    return not fact.higher_is_better and fact.base is not None and fact.base > 0


def _interval(
    fact: Fact, low: float | None, high: float | None, is_ratio: bool
) -> tuple[float | None, float | None]:
    ends = _place(fact, low, is_ratio), _place(fact, high, is_ratio)
    if ends[0] is None or ends[1] is None:
        return None, None
    return min(ends), max(ends)


def _place(fact: Fact, delta: float | None, is_ratio: bool) -> float | None:
    """Where a difference of the fact's metric lies on the common scale."""
    if delta is None or not finite(delta):
        return None
    if is_ratio:
        ratio = (fact.base + delta) / fact.base
        return -math.log(ratio) if ratio > 0 else math.inf
    if not fact.item_se:
        return 0.0 if delta == 0 else None
    gain = delta if fact.higher_is_better else -delta
    return gain / (fact.item_se * math.sqrt(fact.clusters))

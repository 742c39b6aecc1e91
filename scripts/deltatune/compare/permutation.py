"""The sign-flip permutation test of paired differences, for any metric that is a function of
totals.

A draw is a row of zeros and ones (which units are swapped), so that the totals of all draws are one
matrix product, swaps [b, units] @ changes [units, k], in batches of bounded memory.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_BATCH_BYTES = 32 * 2**20


def sign_flip(
    delta: Callable[[np.ndarray, np.ndarray], np.ndarray],
    base: np.ndarray,
    tuned: np.ndarray,
    draws: int,
    seed: int,
    tolerance: float,
) -> tuple[float, bool]:
    """(two-sided p-value, whether it is the smallest that so many draws can give); NaN where a
    permuted difference is not finite.

    base: [1 or S, units, k]; tuned: [S, units, k]; delta: their totals [., b, k] -> [b].
    tolerance: differences below it are rounding.

    Noreen 1989, "Computer-Intensive Methods for Testing Hypotheses": if tuning changed nothing,
    base and tuned are exchangeable within each unit, so they are swapped at random (for all
    training seeds in the same units), and it is counted how often |delta| is as large as the
    observed one. (1 + count) / (1 + draws) counts the data themselves as one draw, which keeps the
    test exact (Phipson and Smyth 2010, "Permutation P-values Should Never Be Zero").
    """
    units = tuned.shape[1]
    pairs = tuned - base
    # Where one base is shared by all seeds, it is swapped with each of them in its own copy.
    base = np.broadcast_to(base, tuned.shape)
    base_total, tuned_total = base.sum(axis=1)[:, None], tuned.sum(axis=1)[:, None]
    observed = abs(float(delta(base_total, tuned_total)[0])) - tolerance
    rng = np.random.default_rng([seed, 2])
    count = 0
    size = max(1, _BATCH_BYTES // (8 * units))
    for start in range(0, draws, size):
        rows = min(size, draws - start)
        random = rng.integers(0, 256, size=(rows, -(-units // 8)), dtype=np.uint8)
        swaps = np.unpackbits(random, axis=1, count=units)
        moved = _weighted_totals(swaps.astype(np.float64), pairs)
        deltas = delta(base_total + moved, tuned_total - moved)
        if not np.isfinite(deltas).all():
            return np.nan, False
        count += int(np.count_nonzero(np.abs(deltas) >= observed))
    return (1 + count) / (1 + draws), count == 0


def _weighted_totals(weights: np.ndarray, systems: np.ndarray) -> np.ndarray:
    """Weighted totals of units: weights [b, units], statistics [S, units, k] -> [S, b, k]."""
    count, units, k = systems.shape
    flat = systems.transpose(1, 0, 2).reshape(units, count * k)
    return (weights @ flat).reshape(-1, count, k).transpose(1, 0, 2)

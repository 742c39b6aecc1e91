"""Base and tuned systems on the same examples, as totals of what is independent of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from deltatune.compare.intervals import Aggregate
from deltatune.core.errors import UserError


@dataclass(frozen=True)
class Sample:
    """base, tuned   statistics, [systems, units, k]; base of one system, or of as many as tuned
    aggregate     totals [..., k] -> figures [...], vectorized
    n             examples
    differing     those whose statistics differ between base and tuned, for any seed
    binary        whether the figure is a mean of zeros and ones
    """

    base: np.ndarray
    tuned: np.ndarray
    aggregate: Aggregate
    n: int
    differing: int
    binary: bool

    @property
    def units(self) -> int:
        return self.tuned.shape[1]

    @property
    def seeds(self) -> int:
        return len(self.tuned)

    @property
    def paired_binary(self) -> bool:
        """Whether base and tuned are zeros and ones of independent examples."""
        return self.binary and self.units == self.n

    @property
    def differing_units(self) -> int:
        return _differing(self.base, self.tuned)

    @cached_property
    def figures(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the whole set, of each system: (base, tuned)."""
        base, tuned = (self.aggregate(s.sum(axis=1)) for s in (self.base, self.tuned))
        return np.asarray(base, dtype=np.float64), np.asarray(tuned, dtype=np.float64)

    @property
    def delta(self) -> float:
        base, tuned = self.figures
        with np.errstate(invalid="ignore"):
            return float(tuned.mean() - base.mean())

    def delta_of(self, base_totals: np.ndarray, tuned_totals: np.ndarray) -> np.ndarray:
        """Means over seeds of tuned minus base: totals [., b, k] twice -> [b]."""
        with np.errstate(invalid="ignore"):  # inf - inf; what is not finite is looked for
            tuned, base = self.aggregate(tuned_totals), self.aggregate(base_totals)
            return tuned.mean(axis=0) - base.mean(axis=0)


def sample(
    base: np.ndarray | Sequence[np.ndarray],
    tuned: Sequence[np.ndarray],
    aggregate: Aggregate,
    clusters: np.ndarray | None,
) -> Sample:
    """Statistics summed within clusters; the arguments and errors are those of `compare`."""
    base_systems = _stack(base if isinstance(base, list | tuple) else [base])
    tuned_systems = _stack(_paired(base_systems[0], tuned))
    if len(base_systems) not in (1, len(tuned_systems)):
        raise UserError(
            f"{len(base_systems)} systems of one recipe cannot be compared with "
            f"{len(tuned_systems)} of another: train both with as many seeds"
        )
    n = tuned_systems.shape[1]
    differing = _differing(base_systems, tuned_systems)
    binary = _is_binary(base_systems) and _is_binary(tuned_systems)
    if clusters is not None:
        base_systems = _sum_clusters(base_systems, np.asarray(clusters))
        tuned_systems = _sum_clusters(tuned_systems, np.asarray(clusters))
    return Sample(base_systems, tuned_systems, aggregate, n, differing, binary)


def _differing(base: np.ndarray, tuned: np.ndarray) -> int:
    """How many of n have other statistics in base and tuned, for any seed; [1 or S, n, k], [S, n,
    k] -> count."""
    scale = np.abs(tuned).max(initial=1.0)
    return int((np.abs(tuned - base) > 1e-12 * scale).any((0, 2)).sum())


def _is_binary(systems: np.ndarray) -> bool:
    """Whether statistics [systems, n, k] are those of a mean of zeros and ones."""
    if systems.shape[2] != 2:
        return False
    score, count = systems[..., 0], systems[..., 1]
    return bool((count == 1).all() and ((score == 0) | (score == 1)).all())


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

"""Intervals and p-values on simulated sets: the cells of benchmarks/coverage_of_intervals.py."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import coverage_of_intervals as coverage

SETS = 400


@pytest.mark.parametrize("cell", coverage.grid(), ids=lambda cell: cell.name)
def test_intervals_cover_and_p_values_are_not_too_small(cell):
    outcome = coverage.run(cell, SETS)
    if outcome.intervals < SETS:
        assert outcome.reasons, "no interval, and no reason"
    if outcome.intervals:
        assert outcome.coverage_bound() >= cell.least, (outcome.covered, outcome.intervals)
    if outcome.tested:
        small, smaller = outcome.size_bounds()
        assert small <= coverage.ALPHA and smaller <= coverage.ALPHA / coverage.FAMILY


def test_the_grid_can_fail():
    """A bootstrap of windows that ignores their chapters is caught."""
    cell = next(cell for cell in coverage.grid() if cell.name == "8 clusters, ICC 0.3")

    def ignoring(rng):
        chapters = np.repeat(np.arange(8), 12)
        change = rng.normal(0, 0.3**0.5, 8)[chapters] + rng.normal(0, 0.7**0.5, 96)
        base = rng.normal(3, 1, 96)
        return coverage.compared(coverage.counted(base), [coverage.counted(base + change)]), 0.0

    outcome = coverage.run(coverage.Cell(cell.name, ignoring, True), SETS)
    assert outcome.coverage_bound() < cell.least
    assert outcome.size_bounds()[0] > coverage.ALPHA

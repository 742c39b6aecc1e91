"""How often intervals hold the true difference, and how often p-values are small by chance alone.

    python benchmarks/coverage_of_intervals.py [sets]

Simulated sets of scores with a known difference, compared by `deltatune.compare.statistics`; the
tests run the same grid with 400 sets a cell (tests/golden/test_coverage.py). Each cell has two
questions. Coverage: of the sets with an interval, how many hold the truth. Size: with no true
difference, how many p-values are at most .05, and at most .05 / 11.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from deltatune.compare.statistics import Comparison, compare
from deltatune.metrics.registry import load_metric
from scipy import stats

ALPHA = 0.05
FAMILY = 11
LEAST = {"two seeds": 0.90, "zero-inflated": 0.92}
"""The least coverage by the first words of a cell's name; .93 for all others."""

_COUNTS = {1: "one seed", 2: "two seeds", 3: "three seeds", 5: "five seeds"}

Draw = Callable[[np.random.Generator], tuple[Comparison, float]]
"""A simulated set: the comparison, and the true difference."""


@dataclass(frozen=True)
class Cell:
    name: str
    draw: Draw
    null: bool
    """Whether there is no true difference, so that p-values are counted."""

    @property
    def least(self) -> float:
        return next((v for words, v in LEAST.items() if self.name.startswith(words)), 0.93)


@dataclass(frozen=True)
class Outcome:
    cell: str
    sets: int
    intervals: int
    """Sets that had an interval; the others said why not."""
    covered: int
    tested: int
    """Sets that had a p-value."""
    small: int
    smaller: int
    """p-values of at most ALPHA, and of at most ALPHA / FAMILY."""
    reasons: tuple[str, ...]

    def coverage_bound(self) -> float:
        """Upper one-sided 99% bound (Clopper and Pearson 1934) on the coverage."""
        hit, n = self.covered, self.intervals
        return 1.0 if hit == n else float(stats.beta.ppf(0.99, hit + 1, n - hit))

    def size_bounds(self) -> tuple[float, float]:
        """Lower one-sided 99% bounds on both sizes."""
        return tuple(
            0.0 if hit == 0 else float(stats.beta.ppf(0.01, hit, self.tested - hit + 1))
            for hit in (self.small, self.smaller)
        )


def mean(totals: np.ndarray) -> np.ndarray:
    return totals[..., 0] / totals[..., 1]


def counted(values: np.ndarray) -> np.ndarray:
    return np.column_stack([values, np.ones(len(values))])


def compared(base, tuned, aggregate=mean, **options) -> Comparison:
    return compare(base, tuned, aggregate, resamples=999, family=1, **options)


def exact_match(n: int, before: float, after: float, seeds: int = 1) -> Draw:
    """Independent right and wrong answers."""

    def draw(rng):
        base = counted((rng.random(n) < before).astype(float))
        tuned = [counted((rng.random(n) < after).astype(float)) for _ in range(seeds)]
        # Independent seeds: their spread is that of the records, counted twice, which is safe.
        return compared(base, tuned), after - before

    return draw


def zero_inflated(n: int, zeros: float, difference: bool) -> Draw:
    """Differences of ROUGE that are zero in most examples, and skewed in the others."""

    def draw(rng):
        moved = rng.random(n) >= zeros
        size = rng.beta(2, 3, n) - (0.2 if difference else 0.0)
        sign = 1.0 if difference else rng.choice([-1.0, 1.0], n)
        base = rng.random(n)
        tuned = base + moved * size * sign
        return compared(counted(base), [counted(tuned)]), (1 - zeros) * 0.2 * difference

    return draw


def exact_in_groups(groups: int, after: float) -> Draw:
    """Right answers after none, in groups of five that resemble each other."""

    def draw(rng):
        names = np.repeat(np.arange(groups), 5)
        chance = rng.beta(8 * after, 8 * (1 - after), groups)[names]
        tuned = counted((rng.random(len(names)) < chance).astype(float))
        return compared(counted(np.zeros(len(names))), [tuned], clusters=names), after

    return draw


def clustered(clusters: int, icc: float) -> Draw:
    """Windows of chapters of unequal length: perplexity's log, with a part that chapters share."""

    def draw(rng):
        sizes = rng.poisson(11, clusters) + 1
        names = np.repeat(np.arange(clusters), sizes)
        shared = rng.normal(0, np.sqrt(icc), clusters)[names]
        change = shared + rng.normal(0, np.sqrt(1 - icc), len(names))
        base = rng.normal(3, 1, len(names))
        return compared(counted(base), [counted(base + change)], clusters=names), 0.0

    return draw


def seeds_vary(seeds: int, ratio: float, n: int = 100) -> Draw:
    """ratio: standard deviation over seeds by standard error over records."""

    def draw(rng):
        base = rng.normal(0, 1, n)
        change = rng.normal(0, 1, n)
        moves = rng.normal(0, ratio / np.sqrt(n), seeds)
        tuned = [counted(base + change + move) for move in moves]
        # One adapter is judged for itself: what it differs by is the truth.
        return compared(counted(base), tuned), float(moves[0]) if seeds == 1 else 0.0

    return draw


def sampled(population: Callable[[], tuple[np.ndarray, np.ndarray]], metric, n: int) -> Draw:
    """Sets of n drawn from a large population of examples, for corpus metrics."""
    base, tuned = population()
    true = float(metric.aggregate(tuned.sum(0)) - metric.aggregate(base.sum(0)))

    def draw(rng):
        rows = rng.integers(0, len(base), n)
        rare = metric.rare(base[rows])
        result = compared(base[rows], [tuned[rows]], metric.aggregate, rare=rare)
        return result, true

    return draw


def bleu_population() -> tuple[np.ndarray, np.ndarray]:
    """Statistics of sentences, each with its own chance of a match, a bit better when tuned."""
    rng = np.random.default_rng(8)
    length = rng.integers(5, 40, 20_000)
    easy = rng.beta(2, 3, 20_000)

    def statistics(skill):
        chance = np.clip(easy + skill + rng.normal(0, 0.05, len(easy)), 0.01, 0.99)
        answer = np.maximum(4, length + rng.integers(-3, 4, len(length)))
        totals = np.stack([answer - k for k in range(4)], axis=1)
        hits = np.stack([rng.binomial(totals[:, k], chance ** (k + 1)) for k in range(4)], axis=1)
        return np.column_stack([answer, length, hits, totals]).astype(float)

    return statistics(0.0), statistics(0.03)


def f1_population(rare: float) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Statistics of macro F1 with ten classes, the last of which is rare."""

    def population():
        rng = np.random.default_rng(9)
        count = 20_000
        shares = np.append(np.full(9, (1 - rare) / 9), rare)
        true = rng.choice(10, count, p=shares)
        one_hot = np.eye(10)

        def statistics(accuracy):
            guess = np.where(rng.random(count) < accuracy, true, rng.integers(0, 10, count))
            right, chosen = one_hot[true], one_hot[guess]
            return np.hstack([right * chosen, (1 - right) * chosen, right * (1 - chosen)])

        return statistics(0.6), statistics(0.7)

    return population


def grid() -> list[Cell]:
    cells = [
        *(
            Cell(f"exact match 0 -> {after:g}, n {n}", exact_match(n, 0.0, after), False)
            for after in (0.03, 0.98)
            for n in (50, 100)
        ),
        Cell("exact match 0.5 -> 0.5, n 100", exact_match(100, 0.5, 0.5), True),
        Cell("exact match 0.03 -> 0.03, n 100", exact_match(100, 0.03, 0.03), True),
        Cell("exact match 0 -> 0.03, n 100, 3 seeds", exact_match(100, 0.0, 0.03, 3), False),
        *(
            Cell(f"zero-inflated {zeros:.0%}, n {n}", zero_inflated(n, zeros, True), False)
            for zeros in (0.8, 0.95)
            for n in (50, 100, 1000)
        ),
        Cell("zero-inflated 80%, n 1000, null", zero_inflated(1000, 0.8, False), True),
        Cell("zero-inflated 70%, n 12, null", zero_inflated(12, 0.7, False), True),
        *(
            Cell(
                f"exact match 0 -> {after:g}, {count} groups", exact_in_groups(count, after), False
            )
            for after, count in ((0.1, 8), (0.03, 30))
        ),
        *(
            Cell(f"{count} clusters, ICC {icc:g}", clustered(count, icc), True)
            for count in (2, 5, 8, 20)
            for icc in (0, 0.1, 0.3)
        ),
        *(
            Cell(
                f"{_COUNTS[count]}, ratio {ratio:g}",
                seeds_vary(count, ratio),
                count > 1 or ratio == 0,
            )
            for count in (1, 2, 3, 5)
            for ratio in (0, 1, 2)
        ),
    ]
    bleu = load_metric("answers", "bleu", language="en")
    cells += [Cell(f"BLEU, n {n}", sampled(bleu_population, bleu, n), False) for n in (50, 200)]
    f1 = load_metric("labels", "macro_f1", labels=list("abcdefghij"))
    cells += [
        Cell(f"macro F1, a class of 1%, n {n}", sampled(f1_population(0.01), f1, n), False)
        for n in (100, 1000)
    ]
    return cells


def run(cell: Cell, sets: int, seed: int = 0) -> Outcome:
    intervals = covered = tested = small = smaller = 0
    reasons: set[str] = set()
    for number in range(sets):
        result, true = cell.draw(
            np.random.default_rng([seed, number, zlib.crc32(cell.name.encode())])
        )
        if np.isfinite(result.ci_low):
            intervals += 1
            covered += result.ci_low <= true <= result.ci_high
        else:
            reasons |= {code.words for code in result.no_interval}
        if cell.null and np.isfinite(result.p_value):
            tested += 1
            small += result.p_value <= ALPHA
            smaller += result.p_value <= ALPHA / FAMILY
    return Outcome(
        cell.name, sets, intervals, covered, tested, small, smaller, tuple(sorted(reasons))
    )


def _run(place: int, sets: int) -> Outcome:
    return run(grid()[place], sets)


def main() -> None:
    sets = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    cells = grid()
    print(f"{sets} sets a cell; coverage of 95% intervals; sizes at .05 and .05 / {FAMILY}\n")
    print(
        f"{'cell':40} {'intervals':>9} {'coverage':>8} {'least':>6} {'p<=.05':>7} {'p<=.0045':>8}"
    )
    with ProcessPoolExecutor(2) as pool:
        for cell, one in zip(
            cells, pool.map(_run, range(len(cells)), [sets] * len(cells)), strict=True
        ):
            covered = f"{one.covered / one.intervals:.3f}" if one.intervals else "-"
            sizes = ("-", "-")
            if one.tested:
                sizes = (f"{one.small / one.tested:.4f}", f"{one.smaller / one.tested:.4f}")
            print(
                f"{one.cell:40} {one.intervals / sets:>9.1%} {covered:>8} {cell.least:>6.2f} "
                f"{sizes[0]:>7} {sizes[1]:>8}  {'; '.join(one.reasons)}",
                flush=True,
            )


if __name__ == "__main__":
    main()

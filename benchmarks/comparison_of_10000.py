"""Seconds of a comparison of 10,000 examples with 10,000 permutations, on one core.

OMP_NUM_THREADS=1 python benchmarks/comparison_of_10000.py
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from deltatune.compare.statistics import compare
from deltatune.metrics.registry import load_metric

EXAMPLES = 10_000


def main() -> None:
    rng = np.random.default_rng(0)
    accuracy = load_metric("labels", "accuracy")
    f1 = load_metric("labels", "macro_f1", labels=[str(number) for number in range(20)])
    bleu = load_metric("answers", "bleu", language="en")
    scores = (rng.random((4, EXAMPLES)) < 0.5).astype(float)
    binary = [np.column_stack([one, np.ones(EXAMPLES)]) for one in scores]
    counts = list((rng.random((4, EXAMPLES, 60)) < 0.05).astype(float))
    matches = list(rng.integers(1, 30, (4, EXAMPLES, 10)).astype(float))
    for name, metric, systems in (
        ("accuracy", accuracy, binary),
        ("macro F1 of 20 classes", f1, counts),
        ("BLEU", bleu, matches),
    ):
        start = time.perf_counter()
        compare(systems[0], systems[1:], metric.aggregate, resamples=10_000)
        print(f"{name:24} {time.perf_counter() - start:5.2f} s, {len(systems) - 1} seeds")


if __name__ == "__main__":
    main()

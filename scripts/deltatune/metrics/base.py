"""What every metric is: a function of sums of per-example sufficient statistics.

A corpus figure such as BLEU or perplexity is not a mean over examples, but it is a function of
a few sums over them. With that form one jackknife and one permutation test serve every metric:
they re-weight rows of `statistics` and call `aggregate` once on all the resampled sums.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import datasets
import numpy as np
import pandas as pd

from deltatune.core.errors import UserError
from deltatune.metrics.upstream import InMemoryMetric, evaluate

ANSWERS = {"predictions": ("answer", "string"), "references": ("reference", "string")}
LABELS = {"predictions": ("predicted", "string"), "references": ("label", "string")}


class Metric(InMemoryMetric):
    """Base class of all metrics; usable in the pipeline and alone as an `evaluate.Metric`.

    A subclass defines

    title             what the report calls it
    higher_is_better  the direction
    inputs            {name in compute(): (column of the outputs, type)}; ANSWERS and LABELS are
                      the usual two
    statistics        [examples, k] float64, from the outputs of one system
    aggregate         [..., k] -> [...], from sums over examples, vectorized over leading axes
    signature         one line with all that reproducing the figure needs

    and may override `bounds`, the least and the largest figure, beyond which no interval goes,
    `per_example`, `caveats` and `rare`.
    """

    title: ClassVar[str]
    higher_is_better: ClassVar[bool]
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    inputs: ClassVar[Mapping[str, tuple[str, str]]]

    def __init__(
        self,
        config_name: str | None = None,
        *,
        labels: Sequence[str] = (),
        language: str = "en",
        keep_in_memory: bool = True,
        **kwargs: Any,
    ) -> None:
        self.labels = list(labels)
        self.language = language
        super().__init__(config_name, keep_in_memory=keep_in_memory, **kwargs)

    def statistics(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give the sufficient statistics, float64 [examples, k], one row for each output."""
        raise NotImplementedError(f"{type(self).__name__} must define statistics(outputs)")

    def aggregate(self, totals: np.ndarray) -> np.ndarray:
        """Turn sums of statistics [..., k] into figures [...]; NaN where nothing is counted."""
        raise NotImplementedError(f"{type(self).__name__} must define aggregate(totals)")

    def signature(self) -> str:
        """Say in one line how the figure was computed."""
        raise NotImplementedError(f"{type(self).__name__} must define signature()")

    def per_example(self, statistics: np.ndarray) -> np.ndarray:
        """Give each example a figure of its own, [examples]: for sorting, not for averaging."""
        return self.aggregate(statistics)

    def corpus(self, statistics: np.ndarray) -> float:
        """Give the figure of the whole set from its statistics [examples, k]."""
        return float(self.aggregate(np.asarray(statistics, dtype=np.float64).sum(axis=0)))

    def caveats(self, outputs: pd.DataFrame) -> list[str]:
        """Warnings about this figure on these outputs, with counts."""
        return []

    def rare(self, statistics: np.ndarray) -> bool:
        """Whether the figure rests on so few examples of some class that no interval of it holds.

        statistics: [examples, k] of any system, since this depends on the references alone.
        """
        return False

    @property
    def name(self) -> str:
        """The name of the metric's file, which is the key of the figure everywhere."""
        return type(self).__module__.rpartition(".")[2]

    def _info(self) -> evaluate.MetricInfo:
        features = {name: datasets.Value(kind) for name, (_, kind) in self.inputs.items()}
        return evaluate.MetricInfo(
            description=type(self).__doc__ or self.title,
            citation="",
            inputs_description=f"Takes {', '.join(features)}; gives {{{self.name!r}: float}}.",
            features=datasets.Features(features),
        )

    def _compute(self, **columns: Any) -> dict[str, float]:
        # evaluate.combine hands every metric the inputs of all of them: take only our own.
        outputs = pd.DataFrame(
            {column: columns[name] for name, (column, _) in self.inputs.items()},
        )
        return {self.name: self.corpus(self.statistics(outputs))}


class MeanMetric(Metric):
    """A metric whose corpus figure is the mean of its examples; a subclass defines `scores`."""

    def scores(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give the figure of each example, [examples]."""
        raise NotImplementedError(f"{type(self).__name__} must define scores(outputs)")

    def statistics(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give [examples, 2]: the score, and 1 to count the example."""
        scores = np.asarray(self.scores(outputs), dtype=np.float64)
        return np.column_stack([scores, np.ones_like(scores)])

    def aggregate(self, totals: np.ndarray) -> np.ndarray:
        """Divide the sum of the scores by the number of examples."""
        return ratio(totals[..., 0], totals[..., 1])


def texts(outputs: pd.DataFrame, column: str) -> list[str]:
    """Give a column of texts; an empty text is a text, a missing one is not.

    Raises UserError when the column is not there or holds a missing value.
    """
    values = _column(outputs, column)
    return [str(value) for value in values]


def numbers(outputs: pd.DataFrame, *columns: str) -> np.ndarray:
    """Give columns of numbers as float64 [examples, len(columns)].

    Raises UserError when a column is not there or a value is missing or not finite: a NaN would
    pass through every sum and make the whole figure NaN with no trace of where it came from.
    """
    values = np.column_stack([_column(outputs, name).to_numpy(np.float64) for name in columns])
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        raise UserError(
            f"the outputs to score have {len(bad)} values that are not finite, first in column "
            f"{columns[column]!r}, {_example(outputs, row)}: the model's likelihoods overflowed; "
            f"score it with a wider compute type (bf16 or fp32)"
        )
    return values


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide elementwise; NaN where the denominator is zero, without a warning."""
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    out = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def _column(outputs: pd.DataFrame, column: str) -> pd.Series:
    if column not in outputs.columns:
        raise UserError(
            f"the outputs to score have no column {column!r} (they have "
            f"{', '.join(map(str, outputs.columns))}): choose metrics of the task's kind, or run "
            f"the stage that makes these outputs again"
        )
    values = outputs[column]
    missing = np.flatnonzero(values.isna().to_numpy())
    if len(missing):
        raise UserError(
            f"the outputs to score have {len(missing)} missing values in column {column!r}, "
            f"first in {_example(outputs, missing[0])}: run the stage that makes them again"
        )
    return values


def _example(outputs: pd.DataFrame, row: int) -> str:
    if "id" in outputs.columns:
        return f"the example with id {outputs['id'].iloc[row]}"
    return f"row {row}"

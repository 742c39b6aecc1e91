"""The examples that the page carries: which, how many got better or worse, how many are right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from deltatune.report.reading import TIE

SIDES = BETTER, SAME, WORSE = "better", "unchanged", "worse"
"""What became of an example that is scored, in the order in which they are shown."""
UNSCORED = "unscored"
CONTINUATIONS = "continuations"
"""Of prose: what systems make of fixed prompts; no metric scores them."""


@dataclass(frozen=True)
class ExampleTable:
    """Examples of a task, as one base and what was tuned from it put them out.

    Frames have one row for each example that is carried, in the order of the records.
    """

    task: str
    outputs: str
    """"answers", "labels", "text" or CONTINUATIONS"""
    metric: str
    """By which examples are compared; "" where nothing scores them."""
    higher_is_better: bool
    title: str
    """Of the metric."""
    unit: str
    """examples, windows"""
    records: pd.DataFrame
    """id, prompt (of prose the text of a window), reference (of labels the true one)"""
    base: pd.DataFrame
    """Where the outputs have it: output (the answer, or the predicted label), score, right (an
    exact answer, or the true label), truncated, empty, shares ({label: share of the probability of
    all labels}, the largest first)"""
    tuned: Mapping[str, Mapping[int, pd.DataFrame]]
    """experiment → seed → the same of that system"""
    tested: int
    """How many examples there are, carried or not."""
    counts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """experiment → `count` of all that are tested"""

    def gains(self, experiment: str) -> np.ndarray:
        """float64 [examples], see `gains`; NaN where nothing scores them."""
        if not self.metric:
            return np.full(len(self.records), np.nan)
        seeds = [frame["score"] for frame in self.tuned[experiment].values()]
        return gains(self.base["score"], seeds, self.higher_is_better)

    def take(self, rows: Sequence[int]) -> "ExampleTable":
        """The same of some rows."""

        def part(frame: pd.DataFrame) -> pd.DataFrame:
            return frame.iloc[list(rows)].reset_index(drop=True)

        tuned = {
            name: {seed: part(frame) for seed, frame in seeds.items()}
            for name, seeds in self.tuned.items()
        }
        return ExampleTable(
            **{**vars(self), "records": part(self.records), "base": part(self.base), "tuned": tuned}
        )

    def thin(self, limit: int) -> "ExampleTable":
        """At most about `limit` of its examples, see `choose`."""
        return self.take(choose([self.gains(name) for name in self.tuned], limit))


def gains(base: Sequence[float], seeds: Sequence[Sequence[float]], higher: bool) -> np.ndarray:
    """float64 [examples]: how much better the mean over seeds is than the base, by one metric."""
    mean = np.mean([np.asarray(one, np.float64) for one in seeds], axis=0)
    return (mean - np.asarray(base, np.float64)) * (1 if higher else -1)


def choose(gains: Sequence[np.ndarray], limit: int) -> list[int]:
    """Rows that are carried, in their order: all, or where there are more than `limit` of them,
    some, evenly spaced between the largest gain and the largest loss of each experiment.

    So the ends are there, and a histogram keeps its shape. gains: of each experiment [examples];
    without a score an example stands behind the largest loss.
    """
    count = len(gains[0])
    if count <= limit:
        return list(range(count))
    each = max(2, limit // len(gains))
    rows: set[int] = set()
    for one in gains:
        order = np.argsort(-np.nan_to_num(one, nan=-np.inf), kind="stable")
        rows.update(order[np.linspace(0, count - 1, each).round().astype(int)].tolist())
    return sorted(rows)


def sides(gains: pd.Series) -> pd.Series:
    """Of each example "better", "unchanged" or "worse", or "unscored" where its gain is NaN."""
    chosen = np.select([gains > TIE, gains < -TIE, gains.isna()], [BETTER, WORSE, UNSCORED], SAME)
    return pd.Series(chosen, index=gains.index, dtype="str")


def tally(scores: pd.DataFrame, higher_is_better: bool) -> dict[str, int]:
    """How many examples got better, worse, or stayed: side -> count, of a scores frame.

    Tuned is the mean over seeds, here as in the list of examples.
    """
    gains = (scores["tuned"] - scores["base"]).astype(float) * (1 if higher_is_better else -1)
    counts = sides(gains).value_counts()
    return {side: int(counts.get(side, 0)) for side in (*SIDES, UNSCORED)}


def count(
    base: pd.DataFrame, seeds: Sequence[pd.DataFrame], higher_is_better: bool
) -> dict[str, float]:
    """`tally` of an experiment, and where it is known how many are right: right_base, right_tuned
    (mean over seeds), and right_better: right by every seed, of those that got better.

    base, seeds: score and perhaps right of each example.
    """
    mean = np.mean([frame["score"].to_numpy(np.float64) for frame in seeds], axis=0)
    counts: dict[str, float] = dict(
        tally(pd.DataFrame({"base": base["score"], "tuned": mean}), higher_is_better)
    )
    if "right" in base:
        counts["right_base"] = int(base["right"].sum())
        counts["right_tuned"] = float(np.mean([frame["right"].sum() for frame in seeds]))
        better = gains(base["score"], [mean], higher_is_better) > TIE
        right = np.all([frame["right"].to_numpy(bool) for frame in seeds], axis=0)
        counts["right_better"] = int((better & right).sum())
    return counts

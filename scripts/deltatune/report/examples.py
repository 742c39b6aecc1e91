"""Which examples are shown, how many got better or worse, and how much of their texts is kept."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from deltatune.report.markup import PREVIEW
from deltatune.report.reading import TIE
from deltatune.report.text import clean

SIDES = BETTER, SAME, WORSE = "better", "unchanged", "worse"
"""What became of an example that is scored, in the order in which they are shown."""
UNSCORED = "unscored"
LIMITS = (4000, 2000, 1000, PREVIEW)
"""Characters of a text that are kept at all: the largest with which the page stays light."""


def choose(frame: pd.DataFrame, higher_is_better: bool, limit: int) -> pd.DataFrame:
    """Examples sorted from the largest gain to the largest loss, at most `limit` of them.

    Adds `gain` (positive where tuning made it better) and `side`, see `sides`. Where there are more
    than `limit`, a third each of the best, the middle and the worst is kept, so that nothing is
    shown by favor.
    Examples without a score come last.
    """
    sign = 1 if higher_is_better else -1
    gain = sign * (frame["tuned_score"] - frame["base_score"]).astype(float)
    frame = frame.assign(gain=gain, side=sides(gain))
    frame = frame.sort_values(["gain", "id"], ascending=[False, True], kind="stable")
    total = len(frame)
    if total <= limit:
        return frame.reset_index(drop=True)
    third = limit // 3
    middle_size = limit - 2 * third
    start = (total - middle_size) // 2
    places = [*range(third), *range(start, start + middle_size), *range(total - third, total)]
    return frame.iloc[places].reset_index(drop=True)


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


def text_limit(
    frames: Mapping[str, pd.DataFrame], columns: list[str], budget: int = 450_000
) -> int:
    """Characters of a text to keep: the longest of LIMITS with which all fit (UTF-8 bytes)."""
    texts = [
        clean(text)
        for frame in frames.values()
        for column in columns
        if column in frame
        for text in frame[column]
    ]
    for limit in LIMITS:
        if sum(len(text[:limit].encode()) for text in texts) <= budget:
            return limit
    return LIMITS[-1]

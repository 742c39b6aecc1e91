"""Plain baselines of tasks with answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltatune.evaluate.baselines.base import Baseline, joined, most_frequent
from deltatune.metrics.words import words

if TYPE_CHECKING:
    import pandas as pd

    from deltatune.tasks.base import TaskKind

_CELLS = 5_000_000
"""Similarities in memory at once, of 8 bytes each."""


def copied_input(train: pd.DataFrame, test: pd.DataFrame, kind: TaskKind) -> list[str]:
    """The last field of the prompt that is not empty: the input, or without one the instruction."""
    fields = list(reversed(kind.PROMPT_FIELDS))
    rows = test[fields].itertuples(index=False)
    return [next((text for text in row if text.strip()), "") for row in rows]


def most_frequent_output(train: pd.DataFrame, test: pd.DataFrame, kind: TaskKind) -> list[str]:
    """The output that most training records have, the first of those that are equally frequent."""
    return [most_frequent(joined(train, kind.ANSWER_FIELDS))] * len(test)


def nearest_example(train: pd.DataFrame, test: pd.DataFrame, kind: TaskKind) -> list[str]:
    """The output of the training record whose prompt is nearest, the first of the equally near.

    Near is the cosine of TF-IDF over words of any script. A prompt that shares no word with any
    training prompt is equally far from all of them, and gets the first record's output.
    """
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    outputs = joined(train, kind.ANSWER_FIELDS).to_numpy()
    prompts, asked = (joined(records, kind.PROMPT_FIELDS) for records in (train, test))
    vectorizer = TfidfVectorizer(analyzer=words, sublinear_tf=True)
    try:
        known = vectorizer.fit_transform(prompts)
    except ValueError:  # no training prompt has a word
        return [outputs[0]] * len(test)
    vectors = vectorizer.transform(asked)
    step = max(1, _CELLS // len(train))
    nearest: list[int] = []
    for start in range(0, len(test), step):
        similarity = (vectors[start : start + step] @ known.T).toarray()
        # Sums that differ by rounding alone are ties, on any machine.
        nearest += np.round(similarity, 9).argmax(axis=1).tolist()
    return outputs[nearest].tolist()


BASELINES = {
    "copied_input": Baseline("Copied input", copied_input),
    "most_frequent_output": Baseline("Most frequent training output", most_frequent_output),
    "nearest_example": Baseline("Nearest training example", nearest_example),
}

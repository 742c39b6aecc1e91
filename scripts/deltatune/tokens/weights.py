"""Weights of the classes of a task in the training loss, a weight for each token of a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from deltatune.core.errors import UserError
from deltatune.core.text import did_you_mean
from deltatune.tokens.encode import NO_PIECE, Encoded
from deltatune.tokens.settings import ClassWeights
from deltatune.tokens.shards import WEIGHTS


def of_classes(
    labels: Sequence[str], names: Sequence[str], chosen: ClassWeights, where: str
) -> dict[str, float]:
    """The weight of each class that has a training record, in the order of the names.

    balanced: records / (classes × records of the class), as scikit-learn's `compute_class_weight`.
    Weights that are chosen are relative, 1 for a class that is not among them. Either way their
    mean over the records is 1, so that the loss is of the size that it has without weights.

    labels: of the training records. names: of all classes. Raises UserError, naming the key
    `where`, for a class that there is not.
    """
    counts = Counter(labels)
    present = [name for name in names if counts[name]]
    if chosen == "balanced":
        return {name: len(labels) / (len(present) * counts[name]) for name in present}
    given = chosen or {}
    for name in given:
        if name not in names:
            raise UserError(
                f"{where}: no class is called '{name}'{did_you_mean(name, names)}; the classes are "
                f"{', '.join(names)}"
            )
    total = sum(count * given.get(name, 1.0) for name, count in counts.items())
    return {name: given.get(name, 1.0) * len(labels) / total for name in present}


def column(
    encoded: Encoded,
    columns: Mapping[str, np.ndarray],
    labels: Sequence[str],
    weights: Mapping[str, float],
) -> dict[str, np.ndarray]:
    """The column of the packed rows that has the weight of each token: float32 [rows, row_length],
    that of its record's class, 0 in the padding.

    columns: of `encode.pack`. labels: of each document. weights: of each class.
    """
    by_piece = np.array([weights[labels[source]] for source in encoded.sources], dtype=np.float32)
    pieces = columns["pieces"]
    # The piece of padding is the last one's number, -1, and is replaced.
    return {WEIGHTS: np.where(pieces == NO_PIECE, np.float32(0), by_piece[pieces])}

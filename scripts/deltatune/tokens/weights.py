"""Weights of the classes of a task in the training loss, a weight for each piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from deltatune.core.errors import UserError
from deltatune.core.text import did_you_mean
from deltatune.tokens.encoded import Encoded
from deltatune.tokens.settings import ClassWeights


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


def of_pieces(encoded: Encoded, labels: Sequence[str], weights: Mapping[str, float]) -> np.ndarray:
    """float32 [pieces]: the weight of each piece, that of its record's class.

    labels: of each document. weights: of each class.
    """
    return np.array([weights[labels[source]] for source in encoded.sources], dtype=np.float32)

"""No pair of systems with different weights: their difference would be one of the weights too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from deltatune.core import evaluated_with
from deltatune.core.errors import UserError


def require_same(scores: Mapping[str, pd.DataFrame], outputs: str) -> None:
    """Raise UserError, naming both files and what to run again, where systems that are compared
    were not evaluated with the same weights by the same backend, see `evaluate.weights`.

    scores: path -> scores. outputs: what they are of: answers, text or labels.
    """
    backends = {path: evaluated_with.backend(table) for path, table in scores.items()}
    if len(set(backends.values())) > 1:
        by_each = ", ".join(f"{path} by {backend}" for path, backend in backends.items())
        again = " ".join(str(Path(path).with_name(f"{outputs}.parquet")) for path in backends)
        raise UserError(
            f"Answers of different evaluation.backend are not compared: {by_each}. Generate them "
            f"again by one: snakemake --cores all --forcerun {again}"
        )
    weights = {path: evaluated_with.read(table) for path, table in scores.items()}
    dequantized = [path for path, used in weights.items() if used == evaluated_with.DEQUANTIZED]
    others = [path for path in weights if path not in dequantized]
    if not dequantized or not others:
        return
    again = " ".join(str(Path(path).with_name(f"{outputs}.parquet")) for path in others)
    raise UserError(
        f"{others[0]} was evaluated with its weights as trained, {dequantized[0]} with dequantized "
        "ones, so their difference would be one of the weights too. With `evaluation.weights: "
        "auto` that is so where one job had a GPU and another had none. Write `quantized` there in "
        "config.yaml and run again, which evaluates all as trained; or evaluate where there is a "
        f"GPU what was evaluated without one: snakemake --cores all --forcerun {again}"
    )

"""The outputs of a system on a task: in batches that fit into memory, and on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from deltatune.core import evaluated_with, manifest
from deltatune.evaluate.settings import EvaluationSettings
from deltatune.evaluate.systems import System
from deltatune.models import oom
from deltatune.models.load import PACKAGES

Result = TypeVar("Result")


@dataclass(frozen=True)
class Outputs:
    """table: a row for each example. figures: of all of them, and the batch size that fitted."""

    table: pd.DataFrame
    figures: dict[str, Any]


def compute(
    run: Callable[[int], Result],
    batch_size: int,
    settings: EvaluationSettings,
    say: Callable[[str], None],
) -> tuple[Result, int]:
    """(run(n), n) for the largest n of a batch size and its halves that fits into memory, see
    `oom.evaluate`."""
    where = f"tasks.{settings.task}.evaluation.batch_size"
    return oom.evaluate(run, batch_size, where=where, say=say)


def write(
    outputs: Outputs,
    table: str | Path,
    record: str | Path,
    settings: EvaluationSettings,
    split: str | None,
    system: System,
) -> None:
    """table: path of the Parquet file. record: of the manifest. split: None where the examples are
    of none."""
    backend = getattr(settings, "backend", evaluated_with.TRANSFORMERS)
    evaluated_with.write(outputs.table, system.facts["weights_used"], backend)
    outputs.table.to_parquet(table, index=False)
    manifest.write(
        record,
        packages=PACKAGES,
        settings=settings.model_dump(mode="json"),
        split=split,
        device=system.machine.device,
        dtype=str(system.machine.dtype),
        **system.facts,
        **outputs.figures,
    )

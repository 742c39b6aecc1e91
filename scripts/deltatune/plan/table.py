"""The plan as text and as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from deltatune.core.table import Cell, Column, Row, table
from deltatune.core.table_text import to_terminal
from deltatune.core.text import duration, file_size
from deltatune.models.batch import Batch
from deltatune.models.dimensions import ModelDimensions
from deltatune.models.gpus import Gpu
from deltatune.models.memory import Memory, Setup
from deltatune.plan import power as power_model
from deltatune.plan.power import Power
from deltatune.plan.work import Work

if TYPE_CHECKING:
    from deltatune.plan.trial import Trial
    from deltatune.train.step import Computed


@dataclass(frozen=True)
class Estimate:
    """An experiment's line in the plan."""

    experiment: str
    model: str
    config_from: str
    sizes: ModelDimensions
    download: int
    download_exact: bool
    work: Work
    steps: int | None
    steps_exact: bool
    seeds: int
    asked: Batch
    """Of the settings, for one process."""
    setup: Setup
    """As it will be computed."""
    reason: str
    """Why its batch and checkpointing are these."""
    computed: Computed | None
    """By which kernels; None without a GPU."""
    memory: Memory
    largest_batch: int | None
    """Rows of one forward pass that fit; None where there is no GPU to fit into."""
    verdict: str
    advice: tuple[str, ...]
    power: Power
    evaluation: int
    """Bytes at the peak of the evaluation, at most, see `models.memory.evaluation`."""
    merging: int
    """Bytes of main memory that `snakemake merge` takes: the whole model in compute precision."""
    trial: Trial | None


def _count(number: int | None) -> str:
    if number is None:
        return "?"
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e4)):
        if number >= size:
            return f"{number / (1e3 if unit == 'k' else size):.3g} {unit}"
    return str(number)


QUANTITY = "quantity of each"
"""Key of the column that names the rows; no experiment has a blank in its name."""
_PREFIX = {"exact": "", "estimated": "~", "at most": "≤ ", "unknown": ""}


def _time(row: Estimate) -> str:
    """Of training alone, its validation left out."""
    if row.trial is None:
        return "unknown"
    if row.steps is None:
        return f"{row.trial.seconds:.3g} s a step"
    return ("" if row.steps_exact else "~") + duration(row.trial.seconds * row.steps)


def _measured(row: Estimate) -> dict[str, str]:
    """What the trial allocated, beside what the plan says of it, and by which kernels."""
    trial = row.trial
    if trial is None or trial.memory is None:
        return {}
    share = row.memory.allocated / trial.memory
    return {
        "measured": f"{file_size(trial.memory)} (plan without overhead: {share:.2f} of it)",
        "measured kernels": f"{trial.kernels}, {trial.launches}",
    }


def _rows(batch: Batch) -> str:
    """Rows of a forward pass, and passes of a step."""
    return f"{batch.micro_batch_size} × {batch.gradient_accumulation_steps}"


def _kernels(row: Estimate) -> tuple[str, str]:
    """Whether they are compiled, and how they are launched."""
    computed = row.computed
    return (computed.kernels.kind, computed.launches.kind) if computed else ("eager", "single")


def _quantities(row: Estimate) -> dict[str, str]:
    prefix, memory = _PREFIX[row.work.how], row.memory
    share = row.sizes.trainable / row.sizes.parameters
    return {
        "model": row.model,
        "parameters": _count(row.sizes.parameters),
        "trainable": f"{_count(row.sizes.trainable)} ({share:.2%})",
        "time per seed": _time(row),
        "download": ("" if row.download_exact else "~") + file_size(row.download)
        if row.download
        else "none",
        "tokens": prefix + _count(row.work.tokens),
        "steps": ("" if row.steps_exact else prefix)
        + _count(row.steps)
        + (f" × {row.seeds} seeds" if row.seeds > 1 else ""),
        "quantization": row.setup.quantization,
        "rows per step": f"{_rows(row.asked)} of {row.work.row_length} tokens",
        "micro-batch": _rows(row.setup.batch),
        "checkpointing": "on" if row.setup.checkpointing else "off",
        "kernels": ", ".join(_kernels(row)),
        "optimizer used": row.setup.optimizer,
        "weights": file_size(memory.weights),
        "adapters": file_size(memory.adapters),
        "optimizer": file_size(memory.optimizer),
        "activations": file_size(memory.activations),
        "logits and loss": file_size(memory.logits) if memory.logits else "in a block",
        "overhead": file_size(memory.overhead),
        "peak": file_size(memory.total),
        **_measured(row),
        "evaluation": "≤ " + file_size(row.evaluation),
        "merging": file_size(row.merging) + " of main memory",
        "largest batch": "" if row.largest_batch is None else str(row.largest_batch),
        "verdict": row.verdict,
    }


def render(rows: list[Estimate], gpu: Gpu | None, how: str) -> str:
    """The plan as text: a line per quantity, a column per experiment, then what to change."""
    quantities = {row.experiment: _quantities(row) for row in rows}
    names = list(dict.fromkeys(name for column in quantities.values() for name in column))
    lines = [
        Row(
            {QUANTITY: Cell(name)}
            | {one: Cell(column.get(name, "")) for one, column in quantities.items()}
        )
        for name in names
    ]
    columns = [Column(QUANTITY, "experiment"), *(Column(name, name) for name in quantities)]
    title = f"GPU: {how}"
    if gpu:
        title = (
            f"GPU: {gpu.name}, {file_size(gpu.memory)}, {'bf16' if gpu.bf16 else 'fp16'} ({how})"
        )
    notes = [f"{row.experiment}: micro-batch: {row.reason}" for row in rows if row.setup.on_gpu]
    notes += [f"{row.experiment}: {row.computed.text()}" for row in rows if row.computed]
    if any(row.setup.compiled for row in rows):
        notes.append("compiled: where that fails, training takes more memory than the peak here")
    notes += [f"{row.experiment}: {advice}" for row in rows for advice in row.advice]
    estimated = {
        f"{row.experiment}: tokens are {row.work.how}, from {row.work.source}"
        for row in rows
        if row.work.how != "exact"
    }
    return "\n".join(
        [
            title,
            "",
            to_terminal(table("plan", title, columns, lines)),
            "",
            *notes,
            *sorted(estimated),
            "~ is an estimate. So is the peak, with a tolerance of a fifth.",
            "",
            power_model.render([row.power for row in rows]),
        ]
    )


def frame(rows: list[Estimate]) -> pd.DataFrame:
    """The same as numbers: counts, and bytes at the peak by part."""
    return pd.DataFrame(
        {
            "experiment": row.experiment,
            "model": row.model,
            "config_from": row.config_from,
            "parameters": row.sizes.parameters,
            "trainable": row.sizes.trainable,
            "download_bytes": row.download,
            "download_exact": row.download_exact,
            "tokens": row.work.tokens,
            "rows": row.work.rows,
            "row_length": row.work.row_length,
            "steps": row.steps,
            "seeds": row.seeds,
            "tokens_are": row.work.how,
            "quantization": row.setup.quantization,
            "batch_size": row.setup.batch.micro_batch_size,
            "gradient_accumulation": row.setup.batch.gradient_accumulation_steps,
            "batch_size_reason": row.reason,
            "kernels": _kernels(row)[0],
            "launches": _kernels(row)[1],
            "optimizer_used": row.setup.optimizer,
            "logits_used": row.computed.logits.kind if row.computed else "all",
            "recomputed": row.computed.recomputed.kind if row.computed else None,
            "activation_checkpointing": row.setup.checkpointing,
            "weights": row.memory.weights,
            "adapters": row.memory.adapters,
            "optimizer": row.memory.optimizer,
            "activations": row.memory.activations,
            "logits": row.memory.logits,
            "overhead": row.memory.overhead,
            "allocated": row.memory.allocated,
            "peak": row.memory.total,
            "evaluation": row.evaluation,
            "merging": row.merging,
            "largest_batch": row.largest_batch,
            "seconds_per_step": row.trial and row.trial.seconds,
            "measured_bytes": row.trial and row.trial.memory,
            "measured_batch_size": row.trial and row.trial.micro_batch_size,
            "measured_checkpointing": row.trial and row.trial.checkpointing,
            "measured_kernels": row.trial and row.trial.kernels,
            "measured_launches": row.trial and row.trial.launches,
            "verdict": row.verdict,
            "advice": "; ".join(row.advice),
            "metric": row.power.metric,
            "test_units": row.power.units,
            "detectable": row.power.detectable,
        }
        for row in rows
    )

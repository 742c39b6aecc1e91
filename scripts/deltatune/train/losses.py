"""The loss of packed rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from datasets import Dataset

from deltatune.core.errors import UserError
from deltatune.models.probes import ask, separates_documents
from deltatune.tokens.shards import WEIGHTS, Collator
from deltatune.train import distributed


class Interrupted(Exception):
    """A measurement was abandoned, because the process was asked to stop."""


def _never() -> bool:
    return False


@torch.no_grad()
def mean_loss(model, rows: Dataset, batch_size: int, stop: Callable[[], bool] = _never) -> float:
    """Cross entropy over the supervised tokens of packed rows, in nats per token.

    Each token weighs the same, whatever its class weighs in training; the Trainer's own eval_loss
    is a mean over batches instead. Several processes divide the batches among them and get the same
    result. Raises Interrupted where `stop` returns True.
    """
    collate = Collator(packed=ask(model, separates_documents))
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    starts = range(0, len(rows), batch_size)
    try:
        # All processes run the same number of forward passes, since the model may be sharded.
        for turn in range(0, len(starts), distributed.world_size()):
            if stop():
                raise Interrupted
            own = turn + distributed.rank()
            start = starts[min(own, len(starts) - 1)]
            rows_here = [rows[i] for i in range(start, min(start + batch_size, len(rows)))]
            batch = {key: value.to(device) for key, value in collate(rows_here).items()}
            batch.pop(WEIGHTS, None)
            labels = batch.pop("labels")[:, 1:]
            # Where only a label or a short answer is supervised, that leaves few of the logits.
            mask = labels != -100
            logits = model(**batch, use_cache=False).logits[:, :-1][mask].float()
            if own < len(starts):
                loss = torch.nn.functional.cross_entropy(logits, labels[mask], reduction="sum")
                total += loss.item()
                count += int(mask.sum())
    finally:
        model.train(was_training)
    total, count = distributed.all_reduce([total, count])
    return total / max(count, 1)


def weighted_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, tokens: torch.Tensor | int
) -> torch.Tensor:
    """Cross entropy of each supervised token times its weight, summed and divided by the tokens.

    logits: [rows, length, vocabulary]; labels and weights: [rows, length]. tokens: the supervised
    ones of the whole optimizer step, so that a step is the same however it is accumulated; with
    weights of 1 it is the loss without weights.
    """
    targets = labels[:, 1:]
    mask = targets != -100
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1][mask].float(), targets[mask], reduction="none"
    )
    return (losses * weights[:, 1:][mask]).sum() / tokens


def require_number(loss: float, name: str, step: int, dtype: torch.dtype) -> None:
    """Raise UserError for a loss that is not finite. dtype: of activations.

    A step that a gradient scaler skips, as is normal in fp16 training, leaves the loss finite.
    """
    if math.isfinite(loss):
        return
    half = dtype is torch.float16
    overflow = " fp16 overflows above 65,504: `training.precision: fp32` would not." * half
    if step == 0:
        raise UserError(
            f"The {name} of the base is not finite (NaN or infinity) before training. Its "
            f"weights are damaged, or too large for {dtype}.{overflow}"
        )
    raise UserError(
        f"The {name} is not finite (NaN or infinity) at step {step}. Lower "
        "`training.learning_rate` or `training.max_grad_norm`, or raise "
        f"`training.warmup`.{overflow}"
    )


def ends(history: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Split -> loss of the base and of the tuned system, of rows in the order of the steps."""
    splits: dict[str, dict[str, float]] = {}
    for row in history:
        split = splits.setdefault(row["split"], {"base": row["loss"]})
        split["tuned"] = row["loss"]
    return splits

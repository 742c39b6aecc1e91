"""The loss of packed rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from deltatune.core.errors import UserError
from deltatune.models.probes import FIRST, SECOND, ask, same, separates_documents
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


def token_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor | None,
    tokens: torch.Tensor | int,
    places: torch.Tensor | None = None,
) -> torch.Tensor:
    """Cross entropy of each supervised token times its weight, summed and divided by the tokens.

    logits: [rows, length, vocabulary]; labels and weights: [rows, length]. tokens: the supervised
    ones of the whole optimizer step, so that a step is the same however it is accumulated; with
    weights of 1 it is the loss without weights. places: see `logits_at`, which gave the logits.
    """
    if places is None:
        targets = labels[:, 1:]
        mask = targets != -100
        logits, targets = logits[:, :-1][mask], targets[mask]
        weights = None if weights is None else weights[:, 1:][mask]
    else:
        logits, targets = logits[0], labels.flatten()[places + 1]
        weights = None if weights is None else weights.flatten()[places + 1]
    losses = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
    return (losses if weights is None else losses * weights).sum() / tokens


# ---------------------------------------------------------------- logits of some tokens


def supervised_places(labels: torch.Tensor, least: int = 1) -> torch.Tensor:
    """Where the next token is supervised: int64 [count], in the flattened labels [rows, length].

    least: so many at least, with one where the next token is not, again and again. At least one, so
    that there is a loss, of 0, where no token is supervised.
    """
    supervised = labels != -100
    # The first token of a row follows none.
    supervised[:, 0] = False
    places = supervised.flatten().nonzero()[:, 0] - 1
    if len(places) >= least:
        return places
    other = (~supervised[:, 1:]).flatten().nonzero()[0, 0]
    width = labels.shape[1] - 1
    return torch.cat([places, (other + other // width).expand(least - len(places))])


def most_supervised(rows: Dataset, count: int) -> int:
    """Supervised tokens of so many rows at most, and at least 1."""
    each = [int(np.count_nonzero(np.asarray(row)[1:] != -100)) for row in rows["labels"]]
    return max(1, sum(sorted(each)[-count:]))


@contextmanager
def logits_at(model: Any, places: torch.Tensor | None) -> Iterator[None]:
    """Within it, a model computes the logits of some tokens: [1, count, vocabulary].

    places: of the tokens, see `supervised_places`; None: all of them, as usual. The output layer
    sees the hidden states of these alone, and the model goes on with what that gives, so that
    scaling and capping of logits stay the class's own.
    """
    if places is None:
        yield
        return

    def select(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        (hidden,) = inputs
        return hidden.flatten(0, 1).index_select(0, places)[None]

    hook = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        hook.remove()


@torch.inference_mode()
def selects_logits(model: Any) -> bool:
    """Of a model or its twin: whether `logits_at` gives its logits, and `token_loss` of them its
    loss. Not where the class adds to the loss, or divides it by a number of its own."""
    if not getattr(model, "accepts_loss_kwargs", True) or model.dtype is not torch.float32:
        # In 16 bits rounding would hide what is added to the loss.
        return False
    ids = torch.tensor([FIRST, SECOND[: len(FIRST)]], device=model.device)
    labels = ids.clone()
    labels[0, :3] = labels[1, 2] = -100
    whole = model(input_ids=ids, labels=labels, num_items_in_batch=7, use_cache=False)
    places = supervised_places(labels)
    with logits_at(model, places):
        some = model(input_ids=ids, use_cache=False).logits
    if some.shape[:2] != (1, len(places)):
        return False
    loss = token_loss(some, labels, None, 7, places)
    close = (loss - whole.loss).abs() <= 1e-5 * whole.loss.abs()
    return bool(close) and same(some[0], whole.logits.flatten(0, 1)[places], model)


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

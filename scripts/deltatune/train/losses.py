"""The loss of packed rows, and its course during training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from datasets import Dataset

from deltatune.core.errors import UserError
from deltatune.tokens.shards import Collator
from deltatune.train import distributed


class Interrupted(Exception):
    """A measurement was given up, because the process is asked to stop."""


def _never() -> bool:
    return False


@torch.no_grad()
def mean_loss(model, rows: Dataset, batch_size: int, stop: Callable[[], bool] = _never) -> float:
    """Cross entropy over the supervised tokens of packed rows, in nats a token.

    Each token weighs the same; the Trainer's own eval_loss is a mean over batches instead. Several
    processes share the batches and get the same answer. Raises Interrupted where `stop` says so.
    """
    collate = Collator()
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    starts = range(0, len(rows), batch_size)
    try:
        # All processes go the same number of times through a model that they may hold in shares.
        for turn in range(0, len(starts), distributed.count()):
            if stop():
                raise Interrupted
            own = turn + distributed.rank()
            start = starts[min(own, len(starts) - 1)]
            rows_here = [rows[i] for i in range(start, min(start + batch_size, len(rows)))]
            batch = {key: value.to(device) for key, value in collate(rows_here).items()}
            labels = batch.pop("labels")[:, 1:]
            # Of a label or a short answer only, the logits of what is learnt are few among all.
            learnt = labels != -100
            logits = model(**batch, use_cache=False).logits[:, :-1][learnt].float()
            if own < len(starts):
                found = torch.nn.functional.cross_entropy(logits, labels[learnt], reduction="sum")
                total += found.item()
                count += int(learnt.sum())
    finally:
        model.train(was_training)
    total, count = distributed.all_reduce([total, count])
    return total / max(count, 1)


class History:
    """The losses of one run, measured alike on validation rows and as many training rows."""

    def __init__(
        self, train_rows: Dataset, validation_rows: Dataset, batch_size: int, dtype: torch.dtype
    ) -> None:
        self._batch_size, self._dtype = batch_size, dtype
        share = min(len(train_rows), max(len(validation_rows), 8))
        spread = [i * len(train_rows) // share for i in range(share)]
        self._splits = {"train": train_rows.select(spread), "validation": validation_rows}
        self.rows: list[dict] = []
        self.seconds = 0.0

    def measure(self, model, step: int, epoch: float, stop: Callable[[], bool] = _never) -> None:
        """Add the losses at a step; all of them or, where Interrupted is raised, none.

        stop: asked between batches whether to give the measurement up.
        """
        started = time.monotonic()
        found = []
        for split, rows in self._splits.items():
            loss = mean_loss(model, rows, self._batch_size, stop)
            self.require_number(loss, f"{split} loss", step)
            found.append({"step": step, "epoch": round(epoch, 4), "split": split, "loss": loss})
        self.rows += found
        self.seconds += time.monotonic() - started

    def require_number(self, loss: float, name: str, step: int) -> None:
        """Raise UserError for a loss that is no number.

        A step that a gradient scaler skips, which fp16 training does now and then, leaves the loss
        a number.
        """
        if math.isfinite(loss):
            return
        half = self._dtype is torch.float16
        overflow = " fp16 overflows above 65,504: `training.precision: fp32` would not." * half
        if step == 0:
            raise UserError(
                f"The {name} of the base is not a number before anything is trained. Its weights "
                f"are damaged, or too large for {self._dtype}.{overflow}"
            )
        raise UserError(
            f"The {name} is no longer a number at step {step}. Lower `training.learning_rate` or "
            f"`training.max_grad_norm`, or raise `training.warmup`.{overflow}"
        )

    def ends(self) -> dict[str, dict[str, float]]:
        """Split -> loss of the base and of the tuned system."""
        found: dict[str, dict[str, float]] = {}
        for row in self.rows:
            entry = found.setdefault(row["split"], {"base": row["loss"]})
            entry["tuned"] = row["loss"]
        return found


def rows_seen(rows: int, per_step: int, steps: int) -> int:
    """Rows of all steps, where the last step of an epoch takes what is left of it."""
    epochs, rest = divmod(steps, math.ceil(rows / per_step))
    return epochs * rows + rest * per_step

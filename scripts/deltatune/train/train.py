"""A LoRA adapter on a frozen, quantized base: QLoRA (Dettmers et al. 2023)."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from datasets import Dataset
from torch.nn.parallel import DistributedDataParallel
from transformers import TrainingArguments

from deltatune.core import manifest, signals
from deltatune.core.errors import UserError
from deltatune.models import oom
from deltatune.models.device import Compute
from deltatune.models.quantization import count_parameters
from deltatune.tokens.shards import Collator
from deltatune.train import distributed, fsdp
from deltatune.train import lora as adapters
from deltatune.train import trainer as resuming
from deltatune.train.checkpoints import Checkpoints
from deltatune.train.data import PaddedDataset, SeededSampler
from deltatune.train.losses import History, Interrupted, mean_loss, rows_seen

__all__ = ["Stopped", "mean_loss", "train"]


class Stopped(UserError):
    """Training was asked to stop and has saved its state."""


@dataclass
class _Run:
    """What all attempts at one run share; see `train`."""

    model: Any
    train_rows: Dataset
    validation_rows: Dataset
    training: dict
    checkpointing: bool
    seed: int
    compute: Compute
    scratch: Path
    checkpoints: Checkpoints | None
    plan: tuple[int, int] | None
    saves: bool
    asked: Callable[[], bool]
    progress: Callable[[str], None]
    say: Callable[[str], None]


@dataclass
class _Done:
    """One attempt: its losses, its steps, and what was used, in earlier processes too."""

    history: History
    steps: int
    seconds: float
    used: dict = field(default_factory=dict)


def train(
    model,
    train_rows: Dataset,
    validation_rows: Dataset,
    *,
    lora: dict,
    training: dict,
    seed: int,
    compute: Compute,
    base: str,
    output: Path,
    scratch: Path,
    revision: str | None = None,
    checkpoints: Checkpoints | None = None,
    plan: tuple[int, int] | None = None,
    progress: Callable[[str], None] = print,
    say: Callable[[str], None] = print,
) -> tuple[pd.DataFrame, dict]:
    """Train an adapter and save it as safetensors in `output`.

    model: a base from `models.load_base`; it is adapted in place.
    train_rows, validation_rows: packed rows, see `tokens.pack`.
    base, revision: what the adapter names as its base, a folder or a hub id.
    scratch: a folder for the Trainer's own files; nothing in it is kept.
    checkpoints: where the state is saved now and then and gone on from, with the same result as
    without a stop; they are left in place. None: nothing is saved and no signal is looked at. Of
    several processes, the first one alone has them.
    plan: to begin with another batch and accumulation of each process than the settings have.

    What is trained is fp32, whatever the base is held and computed in. Where memory runs short,
    training begins again with a smaller batch and as much more accumulation: a step sees the same
    rows, and the run is the one that these numbers in the settings would have given. Several
    processes cannot begin again by themselves: one that is short of memory raises fitting.Short.

    Several processes (see `processes`) train one adapter together, and the first of them saves it.

    Returns the loss history (step, epoch, split, loss in nats a supervised token) and figures
    for the manifest. Step 0 is the base itself, since a fresh adapter changes nothing.
    Raises Stopped when a signal asked to stop before the last step, and UserError where the loss
    stops being a number, no layer is called as a target, there are no rows, one row at a time does
    not fit into memory, the optimizer cannot be had, or the disk is full.
    """
    for name, rows in (("training", train_rows), ("validation", validation_rows)):
        if not len(rows):
            raise UserError(
                f"There is no {name} row: every document was left out for its length. Raise the "
                "task's `max_length`."
            )
    checkpointing = oom.use_checkpointing(
        training["activation_checkpointing"], count_parameters(model), compute.device != "cpu"
    )
    model = adapters.with_lora(model, lora, seed, base, revision)
    if checkpointing and _keeps_inputs(model):
        # What is computed again takes a gradient only if its input does.
        model.enable_input_require_grads()
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if training["sharded"]:
        model = fsdp.shard(model, compute.device)
    saves = bool(distributed.first(checkpoints is not None))
    with signals.catch_stop_signals(saves, again=distributed.count() > 1) as asked:
        run = _Run(
            model, train_rows, validation_rows, training, checkpointing, seed, compute, scratch,
            checkpoints, plan, saves, asked, progress, say,
        )  # fmt: skip
        done, plan = _until_it_fits(run)
    if distributed.rank() == 0:
        adapters.save(model, base, output)
        shutil.rmtree(scratch, ignore_errors=True)
    row_length = len(train_rows[0]["input_ids"])
    seen = rows_seen(len(train_rows), plan[0] * plan[1] * distributed.count(), done.steps)
    return pd.DataFrame(done.history.rows), {
        "trainable_parameters": trainable,
        "steps": done.steps,
        "rows": len(train_rows),
        "row_length": row_length,
        "processes": distributed.count(),
        "batch_size_used": plan[0],
        "gradient_accumulation_used": plan[1],
        "activation_checkpointing_used": checkpointing,
        "training_seconds": round(done.seconds, 2),
        "tokens_per_second": round(seen * row_length / done.seconds, 1),
        "losses": done.history.ends(),
        "earlier": done.used,
    }


def _until_it_fits(run: _Run) -> tuple[_Done, tuple[int, int]]:
    """Train with the batch of the settings or of the checkpoint, or a smaller one that fits."""
    trainable = [p for p in run.model.parameters() if p.requires_grad]
    fresh = [p.detach().to("cpu", copy=True) for p in trainable]
    if run.plan and run.checkpoints:
        run.checkpoints.clear()
    saved = resuming.load(run.checkpoints)
    training, together = run.training, distributed.count()
    plan = run.plan or oom.shared(
        training["batch_size"], training["gradient_accumulation"], together
    )
    if saved:
        plan = tuple(saved.facts["plan"])
    while True:
        try:
            return _attempt(run, plan, saved), plan
        except Exception as error:
            if not oom.out_of_memory(error):
                raise
        if together > 1:
            raise oom.OutOfMemory(plan) from None
        oom.release()
        # What was saved belongs to the larger batch.
        saved = None
        if run.checkpoints:
            run.checkpoints.clear()
        plan, told = oom.next_plan(plan)
        run.say(told)
        for parameter, value in zip(trainable, fresh, strict=True):
            parameter.data.copy_(value)
            parameter.grad = None


def _attempt(run: _Run, plan: tuple[int, int], saved: resuming.Saved | None) -> _Done:
    """Train to the last step, from the first one or from a checkpoint.

    plan: rows of a forward pass, forward passes of a step. Raises Stopped.
    """
    batch_size, accumulation = plan
    training = run.training
    torch.manual_seed(run.seed)
    history = History(run.train_rows, run.validation_rows, batch_size, run.compute.dtype)
    rows, together = len(run.train_rows), distributed.count()
    per_step = batch_size * accumulation * together
    per_epoch = math.ceil(rows / per_step)
    steps = max(1, round(per_epoch * training["epochs"]))
    before: dict = {"seconds": 0.0, "used": {}}
    if saved:
        before = saved.facts
        history.rows = list(before["losses"])
        run.say(f"going on at step {saved.step} of {steps}")
    order = SeededSampler(rows, run.seed, batch_size * together)
    evaluations = training["evaluations"]
    callback = resuming.Steps(
        history,
        order,
        steps,
        per_epoch,
        lambda step: rows_seen(rows, per_step, step) / rows,
        {round(steps * (i + 1) / evaluations) for i in range(evaluations)},
        run.asked,
        run.progress,
        before.get("owed", False),
    )

    def seconds() -> float:
        return before["seconds"] + time.monotonic() - started - history.seconds

    def facts() -> dict:
        return {
            "plan": plan,
            "losses": history.rows,
            "owed": callback.owed,
            "seconds": seconds(),
            "used": _used(before["used"]),
        }

    trainer = resuming.ResumableTrainer(
        order=order,
        saves=run.saves,
        checkpoints=run.checkpoints,
        saved=saved,
        facts=facts,
        model=run.model,
        args=_arguments(run, plan, steps),
        train_dataset=run.train_rows
        if len(order) == rows
        else PaddedDataset(run.train_rows, len(order)),
        data_collator=Collator(),
        callbacks=[callback],
    )
    callback.trainer = trainer
    try:
        trainer.create_optimizer()
        if together > 1:
            _prepare_together(trainer, run)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"training.optimizer: {training['optimizer']} cannot be used here: {error}"
        ) from None
    started = time.monotonic()
    try:
        trainer.run()
    except Interrupted:
        raise _stopped(trainer.last_saved, steps) from None
    if trainer.state.global_step < steps:
        raise _stopped(trainer.last_saved, steps)
    used = before["used"]
    if together > 1:
        # The seconds of this run are those of the process that waits for all.
        used = _used(used) | {"seconds": used.get("seconds", 0.0)}
    return _Done(history, steps, seconds(), used)


def _prepare_together(trainer: resuming.ResumableTrainer, run: _Run) -> None:
    """What DistributedDataParallel should know, and numbers of its own for each process."""
    frozen = [name for name, p in run.model.named_parameters() if not p.requires_grad]
    frozen += [name for name, _ in run.model.named_buffers()]
    # It would send all of the base from the first process to the others, which have it.
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(run.model, frozen)
    # The first process draws the numbers that a single one would draw.
    torch.manual_seed(run.seed + (distributed.rank() << 32))


def _used(before: dict) -> dict:
    """What was used in all processes until now: main memory together, of GPUs the fullest."""
    found = distributed.all_gather(manifest.used())
    here = {
        name: (sum if name == "peak_memory_gb" else max)(one[name] for one in found)
        for name in found[0]
    }
    return manifest.combined(here, before)


def _stopped(saved: int, steps: int) -> Stopped:
    where = f"goes on at step {saved} of {steps}" if saved else "begins at the first step"
    return Stopped(f"Training was asked to stop; the next run {where}.")


def _keeps_inputs(model) -> bool:
    """Whether layers keep their inputs beside what torch knows of: 8-bit ones of bitsandbytes 0.50.

    Only the reentrant way of checkpointing, which goes forward without gradients, keeps them from
    it. With the other way, an H200 took 34.8 GB instead of 13.3 for a Mistral-7B.
    """
    return bool(getattr(model.get_base_model(), "is_loaded_in_8bit", False))


def _arguments(run: _Run, plan: tuple[int, int], steps: int) -> TrainingArguments:
    training, compute = run.training, run.compute
    kept = {"use_reentrant": _keeps_inputs(run.model)} if run.checkpointing else None
    arguments = TrainingArguments(
        output_dir=str(run.scratch),
        max_steps=steps,
        per_device_train_batch_size=plan[0],
        gradient_accumulation_steps=plan[1],
        learning_rate=training["learning_rate"],
        lr_scheduler_type=training["schedule"],
        # It begins at a rate of 0: a run that is all warm-up would end where it began.
        warmup_steps=min(math.ceil(training["warmup"] * steps), steps - 1),
        optim=training["optimizer"],
        weight_decay=training["weight_decay"],
        max_grad_norm=training["max_grad_norm"],
        bf16=compute.dtype is torch.bfloat16,
        fp16=compute.dtype is torch.float16,
        use_cpu=compute.device == "cpu",
        activation_checkpointing=run.checkpointing,
        activation_checkpointing_kwargs=kept,
        seed=run.seed,
        data_seed=run.seed,
        eval_strategy="no",
        save_strategy="no",
        logging_steps=max(1, steps // 50),
        # It would hide a loss that is not a number behind the mean of the others.
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=compute.device != "cpu",
        # Every layer of an adapter is used in every pass.
        ddp_find_unused_parameters=False,
    )
    if arguments.n_gpu > 1:
        # It would take every GPU that it sees, with so many times the rows of a step.
        arguments._n_gpu = 1
    return arguments

"""A LoRA adapter on a frozen, quantized base: QLoRA (Dettmers et al. 2023)."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from datasets import Dataset
from transformers import TrainingArguments

from deltatune.core import manifest, signals
from deltatune.core.errors import UserError
from deltatune.models import oom
from deltatune.models.batch import (
    Batch,
    OutOfMemory,
    rows_seen,
    smaller_batch,
    steps_per_epoch,
    total_steps,
)
from deltatune.models.device import Compute
from deltatune.models.quantization import count_parameters
from deltatune.tokens.shards import Collator
from deltatune.train import distributed, fsdp, upstream
from deltatune.train import lora as adapters
from deltatune.train.checkpoints import Checkpoints
from deltatune.train.data import PaddedDataset, SeededSampler
from deltatune.train.losses import History, Interrupted
from deltatune.train.trainer import ResumableTrainer, SavedState, Steps, load_checkpoint


class Stopped(UserError):
    """Training was asked to stop and has saved its state."""


@dataclass
class _Run:
    """What all attempts of one run have in common; see `train`."""

    model: Any
    train_rows: Dataset
    validation_rows: Dataset
    training: dict
    checkpointing: bool
    seed: int
    compute: Compute
    scratch: Path
    checkpoints: Checkpoints | None
    batch: Batch | None
    saves: bool
    stop_requested: Callable[[], bool]
    progress: Callable[[str], None]
    say: Callable[[str], None]


@dataclass
class _Attempt:
    """One attempt that succeeded: its losses, its steps, and what was used, in earlier processes
    too."""

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
    batch: Batch | None = None,
    progress: Callable[[str], None] = print,
    say: Callable[[str], None] = print,
) -> tuple[pd.DataFrame, dict]:
    """Train an adapter and save it as safetensors in `output`.

    model: a base from `models.load`, to which the adapter is added in place.
    train_rows, validation_rows: packed rows, see `tokens.packing`.
    base, revision: what the adapter names as its base, a folder or a hub id.
    scratch: a folder for the Trainer's own files, deleted at the end.
    checkpoints: where the state is saved regularly and training resumes from, with the same result
    as without a stop; they are left in place. None: nothing is saved and no signal is caught. Of
    several processes, the first one alone has them.
    batch: of each process, to begin with another than the settings have.

    What is trained is fp32, whatever the type of the base and of computation. Where memory runs
    out, training starts again with a smaller micro-batch and more accumulation: a step sees the
    same rows, and the run is the one that these numbers in the settings would have given. Several
    processes cannot start again by themselves: one that is out of memory raises OutOfMemory.

    Several processes (see `train.launch`) train one adapter, and the first of them saves it.

    Returns the loss history (step, epoch, split, loss in nats per supervised token) and figures
    for the manifest. Step 0 is the base itself, since a fresh adapter changes nothing.
    Raises Stopped when a signal asked to stop before the last step, and UserError where the loss
    is no longer finite, no layer is called as a target, there are no rows, one row at a time does
    not fit into memory, the optimizer is not available, or the disk is full.
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
    if checkpointing and upstream.needs_reentrant_checkpointing(model):
        # What is recomputed takes a gradient only if its input does.
        model.enable_input_require_grads()
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if training["sharded"]:
        model = fsdp.shard(model, compute.device)
    saves = bool(distributed.broadcast(checkpoints is not None))
    with signals.catch_stop_signals(saves, again=distributed.world_size() > 1) as stop_requested:
        run = _Run(
            model, train_rows, validation_rows, training, checkpointing, seed, compute, scratch,
            checkpoints, batch, saves, stop_requested, progress, say,
        )  # fmt: skip
        attempt, batch = _train_until_it_fits(run)
    if distributed.rank() == 0:
        adapters.save(model, base, output)
        shutil.rmtree(scratch, ignore_errors=True)
    row_length = len(train_rows[0]["input_ids"])
    processes = distributed.world_size()
    seen = rows_seen(len(train_rows), batch.rows * processes, attempt.steps)
    return pd.DataFrame(attempt.history.rows), {
        "trainable_parameters": trainable,
        "steps": attempt.steps,
        "rows": len(train_rows),
        "row_length": row_length,
        "processes": processes,
        "batch_size_used": batch.micro_batch_size,
        "gradient_accumulation_used": batch.gradient_accumulation_steps,
        "activation_checkpointing_used": checkpointing,
        "training_seconds": round(attempt.seconds, 2),
        "tokens_per_second": round(seen * row_length / attempt.seconds, 1),
        "losses": attempt.history.ends(),
        "earlier": attempt.used,
    }


def _train_until_it_fits(run: _Run) -> tuple[_Attempt, Batch]:
    """Train with the batch of the settings or of the checkpoint, or a smaller one that fits."""
    trainable = [p for p in run.model.parameters() if p.requires_grad]
    initial = [p.detach().to("cpu", copy=True) for p in trainable]
    if run.batch and run.checkpoints:
        run.checkpoints.clear()
    saved = load_checkpoint(run.checkpoints)
    training, processes = run.training, distributed.world_size()
    whole = Batch(training["batch_size"], training["gradient_accumulation"])
    batch = run.batch or whole.per_process(processes)
    if saved:
        batch = Batch(**saved.facts["batch"])
    while True:
        try:
            return _attempt(run, batch, saved), batch
        except Exception as error:
            if not oom.out_of_memory(error):
                raise
        if processes > 1:
            raise OutOfMemory(batch) from None
        oom.release()
        # What was saved belongs to the larger batch.
        saved = None
        if run.checkpoints:
            run.checkpoints.clear()
        batch, message = smaller_batch(batch)
        run.say(message)
        for parameter, value in zip(trainable, initial, strict=True):
            parameter.data.copy_(value)
            parameter.grad = None


def _attempt(run: _Run, batch: Batch, saved: SavedState | None) -> _Attempt:
    """Train to the last step, from the first one or from a checkpoint. Raises Stopped."""
    training, micro_batch_size = run.training, batch.micro_batch_size
    torch.manual_seed(run.seed)
    history = History(run.train_rows, run.validation_rows, micro_batch_size, run.compute.dtype)
    rows, processes = len(run.train_rows), distributed.world_size()
    rows_per_step = batch.rows * processes
    steps = total_steps(rows, rows_per_step, training["epochs"])
    earlier: dict = {"seconds": 0.0, "used": {}}
    if saved:
        earlier = saved.facts
        history.rows = list(earlier["losses"])
        run.say(f"resuming at step {saved.step} of {steps}")
    sampler = SeededSampler(rows, run.seed, micro_batch_size * processes)
    evaluations = training["evaluations"]
    callback = Steps(
        history,
        sampler,
        steps,
        steps_per_epoch(rows, rows_per_step),
        lambda step: rows_seen(rows, rows_per_step, step) / rows,
        {round(steps * (i + 1) / evaluations) for i in range(evaluations)},
        run.stop_requested,
        run.progress,
        earlier.get("pending_evaluation", False),
    )

    def seconds() -> float:
        return earlier["seconds"] + time.monotonic() - started - history.seconds

    def facts() -> dict:
        return {
            "batch": asdict(batch),
            "losses": history.rows,
            "pending_evaluation": callback.pending_evaluation,
            "seconds": seconds(),
            "used": _used(earlier["used"]),
        }

    dataset = run.train_rows
    if len(sampler) > rows:
        dataset = PaddedDataset(dataset, len(sampler))
    trainer = ResumableTrainer(
        sampler=sampler,
        saves=run.saves,
        checkpoints=run.checkpoints,
        saved=saved,
        facts=facts,
        model=run.model,
        args=_arguments(run, batch, steps),
        train_dataset=dataset,
        data_collator=Collator(),
        callbacks=[callback],
    )
    callback.trainer = trainer
    try:
        trainer.create_optimizer()
        if processes > 1:
            _prepare_distributed(run)
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
    used = earlier["used"]
    if processes > 1:
        # The seconds of this run are those of the process that waits for all.
        used = _used(used) | {"seconds": used.get("seconds", 0.0)}
    return _Attempt(history, steps, seconds(), used)


def _prepare_distributed(run: _Run) -> None:
    """Let DDP see the adapter alone, and give each process random numbers of its own."""
    frozen = [name for name, p in run.model.named_parameters() if not p.requires_grad]
    frozen += [name for name, _ in run.model.named_buffers()]
    upstream.ignore_in_ddp(run.model, frozen)
    # The first process draws the numbers that a single one would draw.
    torch.manual_seed(run.seed + (distributed.rank() << 32))


def _used(earlier: dict) -> dict:
    """What was used in all processes until now: of main memory the sum, of GPU memory the most."""
    processes = distributed.all_gather(manifest.used())
    here = {
        name: (sum if name == "peak_memory_gb" else max)(used[name] for used in processes)
        for name in processes[0]
    }
    return manifest.combined(here, earlier)


def _stopped(saved: int, steps: int) -> Stopped:
    where = f"resumes at step {saved} of {steps}" if saved else "starts at the first step"
    return Stopped(f"Training was interrupted; the next run {where}.")


def _arguments(run: _Run, batch: Batch, steps: int) -> TrainingArguments:
    training, compute = run.training, run.compute
    checkpointing = None
    if run.checkpointing:
        checkpointing = {"use_reentrant": upstream.needs_reentrant_checkpointing(run.model)}
    arguments = TrainingArguments(
        output_dir=str(run.scratch),
        max_steps=steps,
        per_device_train_batch_size=batch.micro_batch_size,
        gradient_accumulation_steps=batch.gradient_accumulation_steps,
        learning_rate=training["learning_rate"],
        lr_scheduler_type=training["schedule"],
        # A warm-up begins at a rate of 0: a run that is nothing else would end where it began.
        warmup_steps=min(math.ceil(training["warmup"] * steps), steps - 1),
        optim=training["optimizer"],
        weight_decay=training["weight_decay"],
        max_grad_norm=training["max_grad_norm"],
        bf16=compute.dtype is torch.bfloat16,
        fp16=compute.dtype is torch.float16,
        use_cpu=compute.device == "cpu",
        activation_checkpointing=run.checkpointing,
        activation_checkpointing_kwargs=checkpointing,
        seed=run.seed,
        data_seed=run.seed,
        eval_strategy="no",
        save_strategy="no",
        logging_steps=max(1, steps // 50),
        # The filter would hide a loss that is not finite behind the mean of the others.
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=compute.device != "cpu",
        # Every layer of an adapter is used in every pass.
        ddp_find_unused_parameters=False,
    )
    upstream.use_one_gpu(arguments)
    return arguments

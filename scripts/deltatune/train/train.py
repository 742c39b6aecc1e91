"""A LoRA adapter on a frozen, quantized base: QLoRA (Dettmers et al. 2023).

`setup` loads what a job names, `train` adds the adapter and calls `fit`, again with a smaller batch
where memory runs out, and `validate` measures the losses between the steps.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from datasets import Dataset
from transformers import TrainerCallback, TrainingArguments

from deltatune.core import signals
from deltatune.core.errors import Stopped, UserError
from deltatune.models import device, oom
from deltatune.models.batch import OutOfMemory, Passes, smaller
from deltatune.models.device import Compute
from deltatune.models.load import load_base
from deltatune.models.probes import ask, separates_documents
from deltatune.models.quantization import dequantize_small, layers
from deltatune.tokens.shards import read_shards, row_lengths
from deltatune.train import distributed, fsdp, kernels, memory, upstream
from deltatune.train import lora as adapters
from deltatune.train.checkpoints import Checkpoints
from deltatune.train.data import Steps
from deltatune.train.job import Job, Trained
from deltatune.train.losses import Interrupted, mean_loss, require_number
from deltatune.train.settings import Training, TrainSettings
from deltatune.train.state import SavedState, load_checkpoint
from deltatune.train.step import Computed
from deltatune.train.trainer import AdapterTrainer, arguments


def setup(
    job: Job, *, progress: Callable[[str], None] = print, say: Callable[[str], None] = print
) -> Trained:
    """Train as `train` does, in one process or in each of several that have been joined before.

    Raises what `train` raises, and UserError where another process is training this adapter.
    """
    settings, training = job.settings, job.settings.training
    # The processes have a GPU each, all on one machine.
    compute = device.prepare(
        *(settings.seed, training.threads, training.precision, distributed.rank()),
        quantized=settings.quantization != "none",
    )
    rows = {split: read_shards(folder) for split, folder in job.rows.items()}
    checkpoints = Checkpoints(job.checkpoints, job.fingerprint, say)
    if distributed.rank() == 0:
        # Before the base is loaded: the process of an earlier run may still use its memory.
        checkpoints.open()
    if training.sharded:
        with upstream.quantized_on(compute.device):
            on_cpu = replace(compute, device="cpu")
            model = load_base(job.model, settings.quantization, on_cpu, job.quantization_key)
    else:
        model = load_base(job.model, settings.quantization, compute, job.quantization_key)
        dequantize_small(model, compute)
    return train(
        *(model, rows["train"], rows["validation"], settings, compute),
        *(job.output, job.checkpoints / "trainer", checkpoints, job.passes),
        jobs_per_gpu=job.jobs_per_gpu,
        progress=progress,
        say=say,
    )


def train(
    model: Any,
    train_rows: Dataset,
    validation_rows: Dataset,
    settings: TrainSettings,
    compute: Compute,
    output: Path,
    scratch: Path,
    checkpoints: Checkpoints | None = None,
    passes: Passes | None = None,
    *,
    computed: Computed | None = None,
    jobs_per_gpu: int = 1,
    progress: Callable[[str], None] = print,
    say: Callable[[str], None] = print,
) -> Trained:
    """Train an adapter and save it as safetensors in `output`.

    model: a base from `models.load`, to which the adapter is added in place. train_rows,
    validation_rows: packed rows, see `tokens.packing`. scratch: a folder for the Trainer's own
    files, deleted at the end. checkpoints: where the state is saved regularly and training resumes
    from, with the same result as without a stop; they are left in place; None: nothing is saved,
    no signal is caught. passes, computed: others than chosen. jobs_per_gpu: see `memory.passes`.

    Where memory runs out, training starts again with a smaller micro-batch and more accumulation,
    or with activation checkpointing; where blocks cannot be compiled or passes captured, without.
    Raises OutOfMemory instead in one of several processes, which must all start again; Stopped when
    a signal asked to stop before the last step; UserError where the loss is no longer finite, no
    layer is a target, there are no rows, one row does not fit, or the disk is full.
    """
    _require_rows(training=train_rows, validation=validation_rows)
    used, splits = _examine(model, settings, compute, say), (train_rows, validation_rows)
    chosen = memory.passes(model, settings, compute, splits, jobs_per_gpu)
    model = _with_adapter(model, settings, compute)
    initial = adapters.copy_trained(model)
    again = distributed.world_size() > 1
    with signals.catch_stop_signals(checkpoints is not None, again=again) as stop_requested:
        saved, passes, computed = _beginning(chosen, checkpoints, passes, computed)
        while True:
            steps, failed = _steps(len(train_rows), passes, settings.training), ""
            computed = computed or _choose(model, settings, compute, steps, train_rows, say)
            args = arguments(model, settings, compute, steps, computed, scratch)
            if saved:
                say(f"resuming at step {saved.step} of {steps.total}")
            try:
                beside = checkpoints, saved, stop_requested, progress
                fitted = fit(model, *splits, args, steps, computed, *beside)
                break
            except kernels.WayFailed as error:
                failed = str(error)
            except Exception as error:
                if not oom.out_of_memory(error):
                    raise
            saved, (passes, computed) = None, _other_way(model, passes, computed, failed, say)
            if checkpoints:
                checkpoints.clear()
            adapters.set_trained(model, initial)
    if distributed.rank() == 0:
        _save(model, settings, output, scratch)
    return _trained(fitted, compute, **used)


def _examine(
    model: Any, settings: TrainSettings, compute: Compute, say: Callable[[str], None]
) -> dict[str, Any]:
    """Figures for the manifest: the base's quantized layers, whether the documents of a packed row
    are computed together, and whether algorithms are deterministic, which is chosen here."""
    counted, packed = layers(model), ask(model, separates_documents)
    if not packed:
        say(
            f"documents of a packed row would see each other in {type(model).__name__}, so each is "
            "computed as a row of its own: the same steps, in more time"
        )
    return {
        "quantized_layers": counted.quantized,
        "linear_layers": counted.linear,
        "quantized_share": counted.share,
        "documents_packed": packed,
        "deterministic_algorithms": kernels.choose_algorithms(
            settings.training.determinism, compute
        ),
    }


def _choose(
    model: Any,
    settings: TrainSettings,
    compute: Compute,
    steps: Steps,
    rows: Dataset,
    say: Callable[[str], None],
) -> Computed:
    """How steps are computed, the same in all processes. rows: of training."""
    lengths = row_lengths(rows)
    # Rows whose documents are computed one by one make batches of many shapes.
    alike = ask(model, separates_documents) and (lengths == lengths[0]).all()
    length = int(lengths[0]) if alike else 0
    computed = kernels.choose(model, settings, compute, steps, length)
    computed = distributed.broadcast(computed)
    if compute.device.startswith("cuda"):
        say(computed.text())
    return computed


def _other_way(
    model: Any, passes: Passes, computed: Computed, failed: str, say: Callable[[str], None]
) -> tuple[Passes, Computed | None]:
    """What to start again with; None: it is chosen again. failed: why blocks could not be compiled
    or passes captured; empty where memory ran out. Raises UserError where a pass has one row
    already, and OutOfMemory in one of several processes."""
    if failed:
        kernels.restore_blocks(model)
        oom.release()
        say(f"passes cannot be computed as chosen, so training starts in a plain way: {failed}")
        return passes, computed.plain(failed)
    if distributed.world_size() > 1:
        raise OutOfMemory(passes)
    oom.release()
    fewer, message = smaller(passes)
    say(message)
    if fewer.checkpointing == passes.checkpointing:
        return fewer, computed
    kernels.restore_blocks(model)
    return fewer, None


def _steps(rows: int, passes: Passes, training: Training) -> Steps:
    """passes: of each process."""
    length = {"epochs": training.epochs, "max_steps": training.max_steps}
    evaluations = training.evaluations
    return Steps(rows, passes, distributed.world_size(), evaluations=evaluations, **length)


def _trained(fitted: AdapterTrainer, compute: Compute, **used: Any) -> Trained:
    """used: figures beside those of the Trainer."""
    losses, figures = pd.DataFrame(fitted.run_state.losses), fitted.figures() | used
    device, dtype = compute.device, str(compute.dtype)
    return Trained(losses, figures, fitted.used_beside(), device, dtype, compute.reason)


def _save(model: Any, settings: TrainSettings, output: Path, scratch: Path) -> None:
    adapters.save(model, settings.base.name, output)
    shutil.rmtree(scratch, ignore_errors=True)


def _require_rows(**splits: Dataset) -> None:
    for name, rows in splits.items():
        if not len(rows):
            raise UserError(
                f"There is no {name} row: every document was left out for its length. Raise the "
                "task's `max_length`."
            )


def _with_adapter(model: Any, settings: TrainSettings, compute: Compute) -> Any:
    """The model with an adapter, sharded if it is to be."""
    base = settings.base
    model = adapters.with_lora(model, settings.lora, settings.seed, base.name, base.revision)
    return fsdp.shard(model, compute.device) if settings.training.sharded else model


def _beginning(
    chosen: Passes,
    checkpoints: Checkpoints | None,
    passes: Passes | None,
    computed: Computed | None,
) -> tuple[SavedState | None, Passes, Computed | None]:
    """The checkpoint to resume from, the passes of each process, and how its steps were computed:
    as it was saved, or the chosen passes. passes, computed: see `train`; what was saved before with
    other passes is deleted."""
    if passes and checkpoints and distributed.rank() == 0:
        checkpoints.clear()
    saved = load_checkpoint(checkpoints)
    if saved:
        return saved, saved.run.passes, saved.run.computed
    return None, passes or chosen, computed


def fit(
    model: Any,
    train_rows: Dataset,
    validation_rows: Dataset,
    args: TrainingArguments,
    steps: Steps,
    computed: Computed,
    checkpoints: Checkpoints | None,
    saved: SavedState | None,
    stop_requested: Callable[[], bool],
    progress: Callable[[str], None],
) -> AdapterTrainer:
    """Train to the last step, from the first one or from a checkpoint. Raises Stopped, and
    WayFailed where blocks cannot be compiled, or passes captured."""
    if steps.passes.checkpointing and upstream.needs_reentrant_checkpointing(model):
        # What is recomputed takes a gradient only if its input does.
        model.enable_input_require_grads()
    torch.manual_seed(args.seed)
    fitted = AdapterTrainer(model, args, train_rows, steps, computed, checkpoints, saved)
    # As many training rows as validation rows, from all of the data.
    share = min(len(train_rows), max(len(validation_rows), 8))
    spread = [i * len(train_rows) // share for i in range(share)]
    splits = {"train": train_rows.select(spread), "validation": validation_rows}
    fitted.add_callback(BetweenSteps(fitted, splits, stop_requested, progress))
    try:
        fitted.create_optimizer()
    except (ImportError, ValueError) as error:
        name = args.optim.value
        raise UserError(f"training.optimizer: {name} cannot be used here: {error}") from None
    if steps.processes > 1:
        fitted.prepare_processes()
    with suppress(Interrupted):
        fitted.run()
    if fitted.state.global_step < steps.total:
        step = fitted.last_saved
        where = f"resumes at step {step} of {steps.total}" if step else "starts at the first step"
        raise Stopped(f"Training was interrupted; the next run {where}.")
    return fitted


class BetweenSteps(TrainerCallback):
    """Evaluates, saves and stops between the steps.

    splits: the rows of each split that the losses are measured on.
    """

    def __init__(
        self,
        fitted: AdapterTrainer,
        splits: dict[str, Dataset],
        stop_requested: Callable[[], bool],
        progress: Callable[[str], None],
    ) -> None:
        self._fitted, self._splits = fitted, splits
        self._stop_requested, self._progress = stop_requested, progress
        self._evaluation_steps = fitted.steps.evaluated()

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        run = self._fitted.run_state
        if state.global_step == 0 or run.pending_evaluation:
            validate(self._fitted, self._splits, self._stop_requested)
            run.pending_evaluation = False

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        self._fitted.sampler.epoch = state.global_step // self._fitted.steps.per_epoch

    def on_step_end(self, args, state, control, **kwargs) -> None:
        if state.global_step in self._evaluation_steps:
            try:
                validate(self._fitted, self._splits, self._stop_requested)
            except Interrupted:
                self._fitted.run_state.pending_evaluation = True
        if state.global_step < self._fitted.steps.total:
            save, stop = self._fitted.save_or_stop(self._stop_requested())
            control.should_save |= save
            control.should_training_stop |= stop

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        require_number(float(loss), "training loss", state.global_step, self._fitted.dtype)
        total = self._fitted.steps.total
        self._progress(f"step {state.global_step}/{total}, loss {float(loss):.3f}")


def validate(
    fitted: AdapterTrainer, splits: dict[str, Dataset], stop_requested: Callable[[], bool]
) -> None:
    """Add the losses of all splits at this step to the history; all of them or, where it is
    interrupted by a signal and raises Interrupted, none."""
    step, steps = fitted.state.global_step, fitted.steps
    # Several processes must do it together, and the last evaluation ends the run anyway.
    interruptible = steps.processes == 1 and step < steps.total
    stop = {"stop": stop_requested} if interruptible else {}
    epoch = round(steps.rows_seen(step) / steps.rows, 4)
    rows = []
    with fitted.not_training():
        for split, dataset in splits.items():
            loss = mean_loss(fitted.model, dataset, steps.batch.micro_batch_size, **stop)
            require_number(loss, f"{split} loss", step, fitted.dtype)
            rows.append({"step": step, "epoch": epoch, "split": split, "loss": loss})
    fitted.run_state.losses += rows

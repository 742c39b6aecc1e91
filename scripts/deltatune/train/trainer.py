"""What the Trainer cannot do: the order of the rows, checkpoints of our own, several processes that
share a frozen base."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainingArguments

from deltatune.core import manifest
from deltatune.models.device import Compute
from deltatune.models.probes import ask, separates_documents
from deltatune.tokens.shards import WEIGHTS, Collator, row_lengths
from deltatune.train import distributed, kernels, lora, upstream
from deltatune.train.capture import CapturedPasses
from deltatune.train.checkpoints import Checkpoints, SaveTimer
from deltatune.train.data import PLACES, PaddedDataset, SeededSampler, Steps, WithPlaces
from deltatune.train.losses import ends, logits_at, most_supervised, token_loss
from deltatune.train.settings import TrainSettings
from deltatune.train.state import RunState, SavedState, random_state, set_random_state
from deltatune.train.step import Computed


class AdapterTrainer(upstream.HookedTrainer):
    """A Trainer of the parameters that a model's adapter has.

    computed: how its steps are. checkpoints: None where the run is not saved. saved: the
    checkpoint to resume from.
    """

    def __init__(
        self,
        model: Any,
        args: TrainingArguments,
        rows: Dataset,
        steps: Steps,
        computed: Computed,
        checkpoints: Checkpoints | None,
        saved: SavedState | None,
    ) -> None:
        multiple = steps.batch.micro_batch_size * steps.processes
        self.sampler = SeededSampler(len(rows), args.seed, multiple)
        self._row_lengths = row_lengths(rows)
        self._compiled = computed.kernels.kind == "compiled"
        self._recomputed = computed.recomputed.kind
        self._captures = computed.launches.kind == "captured"
        least = most_supervised(rows, steps.batch.micro_batch_size) if self._captures else 1
        if len(self.sampler) > len(rows):
            rows = PaddedDataset(rows, len(self.sampler))
        selects = computed.logits.kind == "supervised"
        collate = Collator(packed=ask(model, separates_documents))
        super().__init__(
            model=model,
            args=args,
            train_dataset=rows,
            data_collator=WithPlaces(collate, least) if selects else collate,
            compute_loss_func=self._token_loss if selects or WEIGHTS in rows[0] else None,
        )
        self._is_first_pass, self._passes = True, None
        self._checkpoints, self._saved = checkpoints, saved
        self.steps = steps
        self.run_state = saved.run if saved else RunState(steps.passes, computed)
        #: The step of the newest checkpoint, 0 where there is none.
        self.last_saved = saved.step if saved else 0
        self._save_timer = SaveTimer()
        self._since = time.monotonic()

    def training_step(self, model, inputs, num_items_in_batch=None):
        """Raises WayFailed where it was to be compiled or captured and cannot be."""
        if not (self._compiled or self._captures):
            return super().training_step(model, inputs, num_items_in_batch)
        try:
            if self._compiled and self._is_first_pass:
                kernels.compile_blocks(self.model, self._recomputed)
            loss = self._pass(model, self._prepare_inputs(inputs), num_items_in_batch)
        except Exception as error:
            kernels.require_way(error, self._is_first_pass)
            raise
        self._is_first_pass = False
        return loss

    def _pass(self, model, inputs, tokens) -> torch.Tensor:
        """Forward and backward pass of a micro-batch; all of them have the same shape."""
        if not self._captures:
            return super().training_step(model, inputs, tokens)
        if self._passes is None:
            trained = [p for p in model.parameters() if p.requires_grad]
            run = functools.partial(super().training_step, model)
            self._passes = CapturedPasses(run, trained, inputs, tokens)
        return self._passes(inputs, tokens)

    def compute_loss(self, model, inputs, *arguments, **keywords):
        """The model does not know weights and places; `_token_loss` does."""
        self._weights, self._places = inputs.pop(WEIGHTS, None), inputs.pop(PLACES, None)
        with logits_at(self.model, self._places):
            return super().compute_loss(model, inputs, *arguments, **keywords)

    def _token_loss(self, outputs, labels, num_items_in_batch) -> torch.Tensor:
        at = labels, self._weights, num_items_in_batch, self._places
        return token_loss(outputs.logits, *at)

    @property
    def dtype(self) -> torch.dtype:
        """Of activations."""
        half = torch.float16 if self.args.fp16 else torch.bfloat16
        return half if self.args.fp16 or self.args.bf16 else torch.float32

    def run(self) -> None:
        """Train from the beginning or from the checkpoint, to the end or until asked to stop."""
        self._save_timer = SaveTimer()
        self._since = time.monotonic()
        self.train(resume_from_checkpoint=str(self._saved.folder) if self._saved else None)
        self._count_seconds()

    @contextmanager
    def not_training(self) -> Iterator[None]:
        """Its time does not count as seconds of training, and nothing is compiled for it."""
        self._count_seconds()
        try:
            with kernels.as_written() if self._compiled else nullcontext():
                yield
        finally:
            self._since = time.monotonic()

    def _count_seconds(self) -> None:
        now = time.monotonic()
        self.run_state.seconds += now - self._since
        self._since = now

    def figures(self) -> dict[str, Any]:
        """Of the whole run, for the manifest."""
        steps, run = self.steps, self.run_state
        tokens = steps.rows_seen(steps.total) * self._row_lengths.mean()
        return {
            "trainable_parameters": self.get_num_trainable_parameters(),
            "steps": steps.total,
            "rows": steps.rows,
            "row_length": int(self._row_lengths.max()),
            "processes": steps.processes,
            "batch_size_used": steps.batch.micro_batch_size,
            "gradient_accumulation_used": steps.batch.gradient_accumulation_steps,
            "activation_checkpointing_used": steps.passes.checkpointing,
            "batch_size_reason": steps.passes.reason,
            "training_seconds": round(run.seconds, 2),
            "tokens_per_second": round(tokens / run.seconds, 1),
            "losses": ends(run.losses),
            **run.computed.figures(),
        }

    def train_sampler(self) -> SeededSampler:
        return self.sampler

    # ------------------------------------------------------------ several processes

    def prepare_processes(self) -> None:
        """Let DDP see the adapter alone, and give each process random numbers of its own."""
        frozen = [name for name, p in self.model.named_parameters() if not p.requires_grad]
        frozen += [name for name, _ in self.model.named_buffers()]
        upstream.ignore_in_ddp(self.model, frozen)
        # The first process draws the numbers that a single one would draw.
        torch.manual_seed(self.args.seed + (distributed.rank() << 32))

    def used_beside(self) -> dict[str, float]:
        """What the process that waits for the result has not used itself, see `manifest.used`: what
        earlier parts of the run and, where there are several processes, these used."""
        before = self.run_state.used
        if self.steps.processes == 1:
            return before
        return self._used() | {"seconds": before.get("seconds", 0.0)}

    def _used(self) -> dict[str, float]:
        """What was used in all processes until now: of main memory the sum, of GPU memory the
        most."""
        processes = distributed.all_gather(manifest.used())
        here = {
            name: (sum if name == "peak_memory_gb" else max)(used[name] for used in processes)
            for name in processes[0]
        }
        return manifest.combined(here, self.run_state.used)

    # ------------------------------------------------------------ checkpoints

    def save_or_stop(self, stop_requested: bool) -> tuple[bool, bool]:
        """(whether to save now, whether to stop), the same in all processes: they save when the
        first one does, and stop when any of them is asked to."""
        if self._checkpoints is None:
            return False, False
        save = self._save_timer.expired() and distributed.rank() == 0
        stop, save = distributed.all_reduce([stop_requested, save])
        return bool(stop or save), bool(stop)

    def write_checkpoint(self) -> None:
        self._count_seconds()
        began = time.monotonic()
        states = {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.lr_scheduler.state_dict(),
        }
        if getattr(self.accelerator, "scaler", None) is not None:
            states["scaler"] = self.accelerator.scaler.state_dict()
        random_states = distributed.all_gather(random_state())
        # A counter of the operations so far; the Trainer's own checkpoints have it too.
        self.store_flos()
        saved = SavedState(
            replace(self.run_state, used=self._used()),
            self.state,
            random_states,
            lora.copy_trained(self.model),
            states,
        )
        succeeded = True
        if distributed.rank() == 0:
            succeeded = self._checkpoints.save(self.state.global_step, saved.write)
        # The others wait for the first one: stopping now must not end it while it writes.
        if distributed.broadcast(succeeded):
            self.last_saved = self.state.global_step
        self._save_timer.restart(time.monotonic() - began, succeeded)

    def restore_parameters(self) -> None:
        lora.set_trained(self.model, self._saved.trained)

    def restore_optimizer(self) -> None:
        self.optimizer.load_state_dict(self._saved.states["optimizer"])
        self.lr_scheduler.load_state_dict(self._saved.states["scheduler"])

    def restore_scaler(self) -> None:
        if "scaler" in self._saved.states:
            self.accelerator.scaler.load_state_dict(self._saved.states["scaler"])

    def restore_random_state(self) -> None:
        set_random_state(self._saved.random_states[distributed.rank()])


def arguments(
    model: Any,
    settings: TrainSettings,
    compute: Compute,
    steps: Steps,
    computed: Computed,
    scratch: Path,
) -> TrainingArguments:
    """The settings in the Trainer's words. computed: how the steps are. scratch: a folder for the
    Trainer's own files."""
    training, checkpointing = settings.training, steps.passes.checkpointing
    keywords = {"use_reentrant": upstream.needs_reentrant_checkpointing(model)}
    if computed.launches.kind == "captured":
        # There are none that recomputing draws again, and a capture cannot look at them.
        keywords["preserve_rng_state"] = False
    args = TrainingArguments(
        output_dir=str(scratch),
        max_steps=steps.total,
        per_device_train_batch_size=steps.batch.micro_batch_size,
        gradient_accumulation_steps=steps.batch.gradient_accumulation_steps,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        # A warm-up begins at a rate of 0: a run that is nothing else would end where it began.
        warmup_steps=min(math.ceil(training.warmup * steps.total), steps.total - 1),
        optim=computed.optimizer.kind,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        bf16=compute.dtype is torch.bfloat16,
        fp16=compute.dtype is torch.float16,
        use_cpu=compute.device == "cpu",
        activation_checkpointing=checkpointing,
        activation_checkpointing_kwargs=keywords if checkpointing else None,
        seed=settings.seed,
        data_seed=settings.seed,
        eval_strategy="no",
        save_strategy="no",
        logging_steps=max(1, steps.total // 50),
        # The filter would hide a loss that is not finite behind the mean of the others.
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=compute.device.startswith("cuda"),
        # Every layer of an adapter is used in every pass.
        ddp_find_unused_parameters=False,
    )
    upstream.use_one_gpu(args)
    return args

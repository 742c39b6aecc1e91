"""A LoRA adapter on a frozen, quantised base: QLoRA (Dettmers et al. 2023)."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import Trainer, TrainerCallback, TrainingArguments

from deltatune import fitting
from deltatune.compute import Compute
from deltatune.errors import UserError
from deltatune.quantisation import count_parameters, gptq_layers
from deltatune.tokens import Collator


def lora_config(lora: dict, base: str, revision: str | None = None) -> LoraConfig:
    """peft's configuration from the fields of `settings.Lora`.

    base: what the adapter names as its base, a path or hub id. revision: of the hub id.
    """
    renamed = {
        "rank": "r",
        "alpha": "lora_alpha",
        "dropout": "lora_dropout",
        "targets": "target_modules",
    }
    fields = {renamed.get(key, key): value for key, value in lora.items()}
    return LoraConfig(
        task_type="CAUSAL_LM", base_model_name_or_path=base, revision=revision, **fields
    )


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
    progress: Callable[[str], None] = print,
    say: Callable[[str], None] = print,
) -> tuple[pd.DataFrame, dict]:
    """Train an adapter and save it as safetensors in `output`.

    model: a base from `models.load_base`; it is adapted in place.
    train_rows, validation_rows: packed rows, see `tokens.pack`.
    base, revision: what the adapter names as its base, a folder or a hub id.
    scratch: a folder for the Trainer's own files; nothing in it is kept.

    What is trained is fp32, whatever the base is held and computed in. Where memory runs short,
    training begins again with a smaller batch and as much more accumulation: a step sees the same
    rows, and the run is the one that these numbers in the settings would have given.

    Returns the loss history (step, epoch, split, loss in nats a supervised token) and figures
    for the manifest. Step 0 is the base itself, since a fresh adapter changes nothing.
    Raises UserError where the loss stops being a number, no layer is called as a target, there
    are no rows, one row at a time does not fit into memory, or the optimiser cannot be had.
    """
    for name, rows in (("training", train_rows), ("validation", validation_rows)):
        if not len(rows):
            raise UserError(
                f"There is no {name} row: every document was left out for its length. Raise the "
                "task's `max_length`."
            )
    checkpointing = fitting.use_checkpointing(
        training["activation_checkpointing"], count_parameters(model), compute.device != "cpu"
    )
    model = _adapted(model, lora, seed, base, revision)
    trainable = [p for p in model.parameters() if p.requires_grad]
    fresh = [p.detach().to("cpu", copy=True) for p in trainable]
    row_length = len(train_rows[0]["input_ids"])
    plan: tuple[int, int] | None = training["batch_size"], training["gradient_accumulation"]
    while plan:
        used = plan
        try:
            figures = _attempt(
                model, train_rows, validation_rows, training, used, checkpointing, seed, compute,
                scratch, progress,
            )  # fmt: skip
            break
        except Exception as error:
            if not fitting.out_of_memory(error):
                raise
        fitting.release()
        plan = fitting.smaller(*used)
        if plan:
            say(
                f"training.batch_size: memory ran short with {used[0]} rows of {row_length} tokens;"
                f" beginning again with batch_size {plan[0]} and gradient_accumulation {plan[1]}"
            )
            for parameter, value in zip(trainable, fresh, strict=True):
                parameter.data.copy_(value)
                parameter.grad = None
    if plan is None:
        raise UserError(
            f"training.batch_size: memory ran short with one row of {row_length} tokens already. "
            "Lower the task's max_length, set training.activation_checkpointing: true, lower "
            "lora.rank, hold the base in fewer bits (quantisation: nf4), or use a machine with "
            "more memory."
        )
    history, steps, seconds = figures
    _save(model, base, output)
    shutil.rmtree(scratch, ignore_errors=True)
    seen = rows_seen(len(train_rows), used[0] * used[1], steps)
    return pd.DataFrame(history.rows), {
        "trainable_parameters": sum(p.numel() for p in trainable),
        "steps": steps,
        "rows": len(train_rows),
        "row_length": row_length,
        "batch_size_used": used[0],
        "gradient_accumulation_used": used[1],
        "activation_checkpointing_used": checkpointing,
        "training_seconds": round(seconds, 2),
        "tokens_per_second": round(seen * row_length / seconds, 1),
        "losses": history.ends(),
    }


def _adapted(model, lora: dict, seed: int, base: str, revision: str | None):
    """The model with a fresh adapter, whose parameters alone are trained, in fp32."""
    if lora["targets"] == "all-linear" and (layers := gptq_layers(model)):
        # peft 0.21 looks for torch's linear layers and finds the output layer alone.
        lora = lora | {"targets": sorted({name.rsplit(".", 1)[-1] for name in layers})}
    torch.manual_seed(seed)
    try:
        model = get_peft_model(model, lora_config(lora, base, revision))
    except ValueError as error:
        raise UserError(f"lora: peft refuses these settings: {error}") from None
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype is not torch.float32:
            # A gradient scaler refuses fp16 parameters, and small updates are lost in bf16.
            parameter.data = parameter.data.float()
    return model


def _attempt(
    model,
    train_rows: Dataset,
    validation_rows: Dataset,
    training: dict,
    plan: tuple[int, int],
    checkpointing: bool,
    seed: int,
    compute: Compute,
    scratch: Path,
    progress: Callable[[str], None],
) -> tuple[_History, int, float]:
    """Train from the first step to the last; the history, the steps, the seconds of training.

    plan: rows of a forward pass, forward passes of a step.
    """
    batch_size, accumulation = plan
    torch.manual_seed(seed)
    history = _History(model, train_rows, validation_rows, batch_size, compute.dtype, progress)
    per_epoch = math.ceil(len(train_rows) / (batch_size * accumulation))
    steps = max(1, round(per_epoch * training["epochs"]))
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(scratch),
            max_steps=steps,
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=accumulation,
            learning_rate=training["learning_rate"],
            lr_scheduler_type=training["schedule"],
            # It begins at a rate of 0: a run that is all warm-up would end where it began.
            warmup_steps=min(math.ceil(training["warmup"] * steps), steps - 1),
            optim=training["optimiser"],
            weight_decay=training["weight_decay"],
            max_grad_norm=training["max_grad_norm"],
            bf16=compute.dtype is torch.bfloat16,
            fp16=compute.dtype is torch.float16,
            use_cpu=compute.device == "cpu",
            activation_checkpointing=checkpointing,
            activation_checkpointing_kwargs={"use_reentrant": False} if checkpointing else None,
            seed=seed,
            data_seed=seed,
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
        ),
        train_dataset=train_rows,
        data_collator=Collator(),
        callbacks=[history.callback(steps, training["evaluations"])],
    )
    try:
        trainer.create_optimizer()
    except (ImportError, ValueError) as error:
        raise UserError(
            f"training.optimiser: {training['optimiser']} cannot be used here: {error}"
        ) from None
    started = time.monotonic()
    trainer.train()
    return history, steps, time.monotonic() - started - history.seconds


def rows_seen(rows: int, per_step: int, steps: int) -> int:
    """Rows of all steps, where the last step of an epoch takes what is left of it."""
    epochs, rest = divmod(steps, math.ceil(rows / per_step))
    return epochs * rows + rest * per_step


@torch.no_grad()
def mean_loss(model, rows: Dataset, batch_size: int) -> float:
    """Cross entropy over the supervised tokens of packed rows, in nats a token.

    Each token weighs the same; the Trainer's own eval_loss is a mean over batches instead.
    """
    collate = Collator()
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    for start in range(0, len(rows), batch_size):
        rows_here = [rows[i] for i in range(start, min(start + batch_size, len(rows)))]
        batch = {key: value.to(model.device) for key, value in collate(rows_here).items()}
        labels = batch.pop("labels")[:, 1:]
        # Of a label or a short answer only, the logits of what is learnt are few among all.
        learnt = labels != -100
        logits = model(**batch, use_cache=False).logits[:, :-1][learnt].float()
        total += torch.nn.functional.cross_entropy(logits, labels[learnt], reduction="sum").item()
        count += int(learnt.sum())
    model.train(was_training)
    return total / max(count, 1)


class _History:
    """The losses of one run, measured alike on validation rows and as many training rows."""

    def __init__(
        self, model, train_rows, validation_rows, batch_size: int, dtype: torch.dtype, progress
    ) -> None:
        self._model, self._batch_size, self._progress = model, batch_size, progress
        self._dtype = dtype
        share = min(len(train_rows), max(len(validation_rows), 8))
        spread = [i * len(train_rows) // share for i in range(share)]
        self._splits = {"train": train_rows.select(spread), "validation": validation_rows}
        self.rows: list[dict] = []
        self.seconds = 0.0

    def measure(self, step: int, epoch: float) -> None:
        started = time.monotonic()
        for split, rows in self._splits.items():
            loss = mean_loss(self._model, rows, self._batch_size)
            self._require_number(loss, f"{split} loss", step)
            self.rows.append({"step": step, "epoch": round(epoch, 4), "split": split, "loss": loss})
        self.seconds += time.monotonic() - started

    def _require_number(self, loss: float, name: str, step: int) -> None:
        """A step that a gradient scaler skips, which fp16 training does now and then, leaves the
        loss a number; this is about a loss that is none."""
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

    def callback(self, steps: int, evaluations: int) -> TrainerCallback:
        history = self
        due = {round(steps * (i + 1) / evaluations) for i in range(evaluations)}

        class Callback(TrainerCallback):
            def on_train_begin(self, args, state, control, **kwargs):
                history.measure(0, 0.0)

            def on_step_end(self, args, state, control, **kwargs):
                if state.global_step in due:
                    history.measure(state.global_step, state.epoch)

            def on_log(self, args, state, control, logs=None, **kwargs):
                loss = (logs or {}).get("loss")
                if loss is None:
                    return
                loss = float(loss)
                history._require_number(loss, "training loss", state.global_step)
                history._progress(f"step {state.global_step}/{steps}, loss {loss:.3f}")

        return Callback()


def _save(model, base: str, output: Path) -> None:
    """Save the adapter; the same settings must give the same bytes."""
    model.save_pretrained(str(output), safe_serialization=True)
    # peft keeps target_modules in a set, whose order changes from process to process.
    path = output / "adapter_config.json"
    config = json.loads(path.read_text())
    for key in ("target_modules", "modules_to_save", "exclude_modules"):
        if isinstance(config.get(key), list):
            config[key] = sorted(config[key])
    # peft writes where the model was loaded from, which may be a path on this machine.
    config["base_model_name_or_path"] = base
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    # An empty model card, which would only ask to be filled in.
    (output / "README.md").unlink(missing_ok=True)

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

from deltatune.compute import Compute
from deltatune.errors import UserError
from deltatune.tokens import Collator


def lora_config(lora: dict, base: str) -> LoraConfig:
    """peft's configuration from the fields of `settings.Lora`.

    base: what the adapter names as its base, a path or hub id.
    """
    renamed = {
        "rank": "r",
        "alpha": "lora_alpha",
        "dropout": "lora_dropout",
        "targets": "target_modules",
    }
    fields = {renamed.get(key, key): value for key, value in lora.items()}
    return LoraConfig(task_type="CAUSAL_LM", base_model_name_or_path=base, **fields)


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
    progress: Callable[[str], None] = print,
) -> tuple[pd.DataFrame, dict]:
    """Train an adapter and save it as safetensors in `output`.

    model: a base from `models.load_base`; it is adapted in place.
    train_rows, validation_rows: packed rows, see `tokens.pack`.
    scratch: a folder for the Trainer's own files; nothing in it is kept.

    Returns the loss history (step, epoch, split, loss in nats a supervised token) and figures
    for the manifest. Step 0 is the base itself, since a fresh adapter changes nothing.
    Raises UserError where the loss stops being a number, no layer is called as a target, or there
    are no rows.
    """
    for name, rows in (("training", train_rows), ("validation", validation_rows)):
        if not len(rows):
            raise UserError(
                f"There is no {name} row: every document was left out for its length. Raise the "
                "task's `max_length`."
            )
    torch.manual_seed(seed)
    try:
        model = get_peft_model(model, lora_config(lora, base))
    except ValueError as error:
        raise UserError(f"lora: peft refuses these settings: {error}") from None
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    history = _History(model, train_rows, validation_rows, training["batch_size"], progress)
    per_step = training["batch_size"] * training["gradient_accumulation"]
    steps = max(1, round(math.ceil(len(train_rows) / per_step) * training["epochs"]))
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(scratch),
            max_steps=steps,
            per_device_train_batch_size=training["batch_size"],
            gradient_accumulation_steps=training["gradient_accumulation"],
            learning_rate=training["learning_rate"],
            lr_scheduler_type=training["schedule"],
            warmup_steps=math.ceil(training["warmup"] * steps),
            optim=training["optimiser"],
            weight_decay=training["weight_decay"],
            max_grad_norm=training["max_grad_norm"],
            bf16=compute.dtype is torch.bfloat16,
            fp16=compute.dtype is torch.float16,
            use_cpu=compute.device == "cpu",
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
    started = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - started - history.seconds
    _save(model, base, output)
    shutil.rmtree(scratch, ignore_errors=True)
    row_length = len(train_rows[0]["input_ids"])
    return pd.DataFrame(history.rows), {
        "trainable_parameters": trainable,
        "steps": steps,
        "rows": len(train_rows),
        "row_length": row_length,
        "training_seconds": round(seconds, 2),
        "tokens_per_second": round(
            rows_seen(len(train_rows), per_step, steps) * row_length / seconds, 1
        ),
        "losses": history.ends(),
    }


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
        logits = model(**batch, use_cache=False).logits[:, :-1].float()
        total += torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="sum"
        ).item()
        count += int((labels != -100).sum())
    model.train(was_training)
    return total / max(count, 1)


class _History:
    """The losses of one run, measured alike on validation rows and as many training rows."""

    def __init__(self, model, train_rows, validation_rows, batch_size: int, progress) -> None:
        self._model, self._batch_size, self._progress = model, batch_size, progress
        share = min(len(train_rows), max(len(validation_rows), 8))
        spread = [i * len(train_rows) // share for i in range(share)]
        self._splits = {"train": train_rows.select(spread), "validation": validation_rows}
        self.rows: list[dict] = []
        self.seconds = 0.0

    def measure(self, step: int, epoch: float) -> None:
        started = time.monotonic()
        for split, rows in self._splits.items():
            loss = mean_loss(self._model, rows, self._batch_size)
            _require_number(loss, f"{split} loss", step)
            self.rows.append({"step": step, "epoch": round(epoch, 4), "split": split, "loss": loss})
        self.seconds += time.monotonic() - started

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
                _require_number(loss, "training loss", state.global_step)
                history._progress(f"step {state.global_step}/{steps}, loss {loss:.3f}")

        return Callback()


def _require_number(loss: float, name: str, step: int) -> None:
    if not math.isfinite(loss):
        raise UserError(
            f"The {name} is no longer a number at step {step}. Lower `training.learning_rate` or "
            "`training.max_grad_norm`, or raise `training.warmup`."
        )


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

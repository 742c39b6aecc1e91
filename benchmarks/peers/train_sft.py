"""The same training by TRL's SFTTrainer, or by Unsloth's, for `train` of benchmarks/peers.py.

Runs in the environment of the peer, which has nothing of this project: documents come as a file.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Any

SPEC = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
if SPEC["peer"] == "unsloth":
    # Before all else: it replaces parts of the others.
    import unsloth

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402

from peers.watch import Results, Watch  # noqa: E402

ON_GPU = torch.cuda.is_available()
DTYPE = torch.bfloat16 if ON_GPU else torch.float32
RANK, ALPHA = 16, 32


def load_trl() -> tuple[Any, Any]:
    """(model with adapter, tokenizer)."""
    arguments = {}
    if SPEC["quantization"] == "nf4":
        arguments["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=DTYPE,
        )
    place = {"": 0 if ON_GPU else "cpu"}
    model = AutoModelForCausalLM.from_pretrained(
        SPEC["model"], dtype=DTYPE, device_map=place, **arguments
    )
    lora = LoraConfig(
        r=RANK,
        lora_alpha=ALPHA,
        lora_dropout=SPEC["dropout"],
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, lora), AutoTokenizer.from_pretrained(SPEC["model"])


def load_unsloth() -> tuple[Any, Any]:
    """The same, as Unsloth's notebooks do it, with its own kind of checkpointing."""
    checkpointing = "unsloth" if SPEC["ways"][0]["checkpointing"] else False
    model, tokenizer = unsloth.FastLanguageModel.from_pretrained(
        SPEC["model"],
        max_seq_length=SPEC["length"],
        dtype=DTYPE,
        load_in_4bit=SPEC["quantization"] == "nf4",
        use_gradient_checkpointing=checkpointing,
    )
    model = unsloth.FastLanguageModel.get_peft_model(
        model,
        r=RANK,
        lora_alpha=ALPHA,
        lora_dropout=SPEC["dropout"],
        use_gradient_checkpointing=checkpointing,
    )
    return model, tokenizer


def trainer_of(model: Any, tokenizer: Any, rows: Dataset, way: dict, folder: str) -> SFTTrainer:
    config = SFTConfig(
        output_dir=folder,
        max_steps=2000,
        per_device_train_batch_size=SPEC["rows"],
        gradient_accumulation_steps=SPEC["accumulation"],
        learning_rate=2e-4,
        packing=way["packing"],
        max_length=SPEC["length"],
        completion_only_loss=True,
        gradient_checkpointing=way["checkpointing"],
        bf16=ON_GPU,
        use_cpu=not ON_GPU,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        seed=0,
    )
    return SFTTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer)


def supervised(rows: Dataset) -> int:
    """Tokens of the trainer's rows that a loss is taken on."""
    if "labels" in rows.column_names:
        return sum(sum(label != -100 for label in row[1:]) for row in rows["labels"])
    return sum(sum(row[1:]) for row in rows["completion_mask"])


def loss_of(trainer: SFTTrainer, model: Any, documents: list[dict[str, list[int]]]) -> float:
    """The trainer's own loss of documents, in its own batch of them."""
    batch = trainer._prepare_inputs(trainer.data_collator(documents))
    count = torch.tensor(sum(sum(x != -100 for x in one["labels"][1:]) for one in documents))
    with torch.no_grad(), trainer.compute_loss_context_manager():
        loss = trainer.compute_loss(model, batch, num_items_in_batch=count.to(trainer.args.device))
    return float(loss)


def measure(model: Any, tokenizer: Any, rows: Dataset, way: dict) -> dict[str, Any]:
    documents = json.loads(Path(SPEC["beginning"]).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(model, tokenizer, rows, way, folder)
        losses: list[float] = []

        def compare(prepared: Any) -> None:
            # A comparison that fails is wrong, and no reason not to measure.
            try:
                losses.append(loss_of(trainer, prepared, documents))
            except Exception:
                traceback.print_exc()

        watch = Watch(SPEC["warm"], SPEC["steps"], before=compare)
        trainer.training_step = watch.watched(trainer.training_step)
        with watch.running():
            trainer.train()
    return watch.figures() | {
        # Of the documents that were the first step of the training here.
        "loss": losses[0] if losses else None,
        "supervised_tokens": supervised(trainer.train_dataset),
        "forward_pass": list(watch.batches[0]["input_ids"].shape),
        "optimizer": str(trainer.args.optim),
        **way,
        "packed": bool(trainer.args.packing),
    }


def main() -> None:
    model, tokenizer = load_unsloth() if SPEC["peer"] == "unsloth" else load_trl()
    names = ["torch", "transformers", "peft", "bitsandbytes", "trl"]
    names += ["unsloth", "unsloth_zoo"] if SPEC["peer"] == "unsloth" else []
    versions = {name: version(name) for name in names}
    documents = json.loads(Path(SPEC["documents"]).read_text(encoding="utf-8"))
    columns = ("input_ids", "completion_mask")
    rows = Dataset.from_dict({name: [one[name] for one in documents] for name in columns})
    trained = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    results = Results(SPEC["out"])
    for way in SPEC["ways"]:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in trained:
                    parameter.copy_(trained[name])
        try:
            figures = measure(model, tokenizer, rows, way)
        except torch.OutOfMemoryError:
            figures = way | {"failed": "out of memory"}
        gc.collect()
        if ON_GPU:
            torch.cuda.empty_cache()
        name = f"{SPEC['peer']}{', packed' if way['packing'] else ''}"
        checkpointing = "on" if way["checkpointing"] else "off"
        results.add(f"{name}, checkpointing {checkpointing}", figures | {"versions": versions})


if __name__ == "__main__":
    main()

"""Training as `train_adapter` does it, for `train` of benchmarks/peers.py."""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from deltatune.core import manifest
from deltatune.models import device
from deltatune.models.dimensions import model_dimensions
from deltatune.models.load import load_base
from deltatune.models.quantization import dequantize_small
from deltatune.models.settings import Lora
from deltatune.tokens.encode import pack
from deltatune.tokens.encoded import Encoded
from deltatune.train.settings import Base, Training, TrainSettings
from deltatune.train.train import train
from deltatune.train.trainer import AdapterTrainer

from peers.watch import Results, Watch, matmul_flops

#: Steps of the training that a measurement is the beginning of: what pays in a long run is chosen.
#: Alpaca is so long in three epochs, 4 rows of 512 tokens at a time.
LONG = 10_000
#: Figures of a training that a beginning of it does not have.
OF_A_WHOLE_RUN = ("losses", "tokens_per_second", "training_seconds", "steps")


def rows(documents: list[dict[str, list[int]]], length: int) -> Dataset:
    """The packed rows of documents with input_ids and completion_mask."""
    encoded = Encoded(pad_id=0)
    for number, document in enumerate(documents):
        encoded.add_masked(number, document["input_ids"], document["completion_mask"])
    packed = pack(encoded, length)
    return Dataset.from_dict({name: list(packed[name]) for name in packed})


def documents_of(batches: list[dict[str, torch.Tensor]]) -> list[dict[str, list[int]]]:
    """The documents of packed rows: each with input_ids and labels, padding left out."""
    documents = []
    for batch in batches:
        columns = [batch[name] for name in ("input_ids", "labels", "position_ids")]
        for ids, labels, positions in zip(*columns, strict=True):
            starts = np.flatnonzero(positions.numpy() == 0)[1:]
            parts = [np.split(values.numpy(), starts) for values in (ids, labels)]
            documents += [
                {"input_ids": one.tolist(), "labels": label.tolist()}
                for one, label in zip(*parts, strict=True)
                if (label != -100).any()
            ]
    return documents


def bounds(model: Path, flops: float | None) -> dict[bool, float]:
    """Tokens per second that a GPU of so many operations could compute, by whether activations are
    recomputed; {} on a CPU.

    A product with a matrix of N parameters takes 2 N operations for each token, the forward pass
    and the gradient of its input one each; of frozen weights there is no other. Recomputing adds a
    forward pass. Attention and the adapter are left out.
    """
    if flops is None:
        return {}
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    sizes = model_dimensions(config, Lora(), "benchmark")
    looked_up = config["vocab_size"] * config["hidden_size"]
    weights = sizes.parameters - (0 if config.get("tie_word_embeddings") else looked_up)
    return {again: round(flops / (weights * (6 if again else 4)), 1) for again in (False, True)}


def measure(spec: dict[str, Any], train_rows: Dataset, checkpointing: bool) -> dict[str, Any]:
    """One training of a base that is loaded for it; what the first step read is kept."""
    machine = device.prepare(0, threads=spec["threads"])
    model = load_base(Path(spec["model"]), spec["quantization"], machine)
    dequantize_small(model, machine)
    settings = TrainSettings(
        model="random weights",
        quantization=spec["quantization"],
        lora=Lora(rank=16, alpha=32, dropout=spec["dropout"], targets="all-linear"),
        training=Training(
            max_steps=LONG,
            batch_size=spec["rows"],
            gradient_accumulation=spec["accumulation"],
            evaluations=1,
            activation_checkpointing=checkpointing,
        ),
        seed=0,
        base=Base(name="random weights", revision=None),
    )
    watch = Watch(spec["warm"], spec["steps"])
    original = AdapterTrainer.training_step
    AdapterTrainer.training_step = watch.watched(original)
    try:
        with tempfile.TemporaryDirectory() as folder, watch.running():
            train(
                model,
                train_rows,
                train_rows.select(range(min(len(train_rows), 8))),
                settings,
                machine,
                output=Path(folder, "adapter"),
                scratch=Path(folder, "trainer"),
                progress=lambda text: None,
            )
    finally:
        AdapterTrainer.training_step = original
    Path(spec["beginning"]).write_text(json.dumps(documents_of(watch.batches)), encoding="utf-8")
    shape = list(watch.batches[0]["input_ids"].shape)
    chosen = {k: v for k, v in watch.caller.figures().items() if k not in OF_A_WHOLE_RUN}
    return watch.figures() | {"forward_pass": shape, "passes": len(watch.batches)} | chosen


def main() -> None:
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    documents = json.loads(Path(spec["documents"]).read_text(encoding="utf-8"))
    train_rows = rows(documents, spec["length"])
    supervised = sum(int((np.array(row) != -100).sum()) for row in train_rows["labels"])
    results = Results(spec["out"])
    bound = bounds(Path(spec["model"]), matmul_flops())
    for checkpointing in spec["checkpointing"]:
        figures = measure(spec, train_rows, checkpointing)
        figures |= {
            "supervised_tokens": supervised,
            "checkpointing": checkpointing,
            # Where products with the base's weights are kept, no product is computed again.
            "bound": bound.get(figures["recomputed_used"] == "blocks"),
            "versions": manifest.versions(["torch", "transformers", "peft", "bitsandbytes"]),
        }
        results.add(f"here, checkpointing {'on' if checkpointing else 'off'}", figures)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()

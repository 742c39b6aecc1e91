"""Train a full-size Mistral-7B as `train_adapter` does, and compare the plan with what it took.

    python benchmarks/train_mistral_7b.py

builds a Mistral-7B with random weights (14.5 GB on disk, no download), loads it in NF4, trains an
adapter for some steps by `deltatune.train.train.train`, prints the peak of GPU memory beside the
estimate of `snakemake plan`, and tokens per second. It needs a GPU with 16 GB or more, torch,
transformers, peft, bitsandbytes, accelerate, datasets, pandas and pydantic in the versions of
constraints.txt, and no network. Speed and memory do not depend on what the weights are; the losses
mean nothing.

    python benchmarks/train_mistral_7b.py --size tiny

runs the same code in half a minute on a CPU, with a model of two small blocks. It shows that the
code works, and says nothing of a GPU's memory or speed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import torch
from deltatune.core import manifest
from deltatune.models import device as compute
from deltatune.models import memory, random_weights
from deltatune.models.batch import Batch
from deltatune.models.dimensions import model_dimensions
from deltatune.models.load import load_base
from deltatune.models.settings import Lora
from deltatune.plan.trial import WARM, Clock, rows
from deltatune.train.settings import Base, Training, TrainSettings
from deltatune.train.train import train
from shapes import MISTRAL_7B, tiny

TINY = tiny(MISTRAL_7B, 512)


def measure(asked: argparse.Namespace, folder: Path, scratch: Path) -> dict:
    """The figures. folder: of the model, written where it is not there."""
    shape = TINY if asked.size == "tiny" else MISTRAL_7B
    machine = compute.prepare(0, threads=1, precision=asked.precision)
    on_gpu = machine.device != "cpu"
    if asked.size == "7b" and not on_gpu:
        raise SystemExit("Mistral-7B needs a GPU; --size tiny runs the same code on a CPU")
    began = time.perf_counter()
    if (folder / "config.json").is_file():
        config = json.loads((folder / "config.json").read_text())
        if config["hidden_size"] != shape["hidden_size"]:
            raise SystemExit(f"{folder} holds a model of another size")
    else:
        random_weights.write(folder, shape, machine.device)
        config = json.loads((folder / "config.json").read_text())
    print(f"model in {folder}: {time.perf_counter() - began:.0f} s", flush=True)
    lora = Lora(rank=asked.rank, alpha=2 * asked.rank, targets=asked.targets)
    training = Training(
        epochs=1,
        batch_size=asked.batch_size,
        gradient_accumulation=1,
        evaluations=1,
        optimizer=asked.optimizer,
        activation_checkpointing={"auto": "auto", "on": True, "off": False}[asked.checkpointing],
        precision=asked.precision,
    )
    settings = TrainSettings(
        model="random weights",
        quantization=asked.quantization,
        lora=lora,
        training=training,
        seed=0,
        base=Base(name="random weights", revision=None),
    )
    began = time.perf_counter()
    model = load_base(folder, asked.quantization, machine)
    load_seconds = time.perf_counter() - began
    clock = Clock()
    if on_gpu:
        # Loading holds a shard in 16 bits for a moment, which the plan is not about.
        weights, loading = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    with clock.running():
        figures = train(
            model,
            rows(asked.steps * asked.batch_size, asked.length, shape["vocab_size"], seed=1),
            rows(asked.batch_size, asked.length, shape["vocab_size"], seed=2),
            settings,
            machine,
            output=scratch / "adapter",
            scratch=scratch / "trainer",
            progress=lambda text: print(text, flush=True),
        ).figures
    used = figures["batch_size_used"]
    per_step = figures["gradient_accumulation_used"]
    tokens = used * asked.length
    setup = memory.Setup(
        quantization=asked.quantization,
        optimizer=asked.optimizer,
        batch=Batch(used, per_step),
        row_length=asked.length,
        checkpointing=figures["activation_checkpointing_used"],
        on_gpu=on_gpu,
        half=machine.dtype is not torch.float32,
    )
    sizes = model_dimensions(config, lora, "benchmark")
    planned = memory.estimate(sizes, setup)
    on_the_gpu = {}
    if on_gpu:
        measured = torch.cuda.max_memory_allocated()
        on_the_gpu = {
            "weights_gb": round(weights / 1e9, 3),
            "peak_while_loading_gb": round(loading / 1e9, 3),
            "peak_allocated_gb": round(measured / 1e9, 3),
            "planned_over_measured": round(planned.allocated / measured, 3),
        }
        if used != asked.batch_size:
            print(f"The peak is that of {asked.batch_size} rows, which did not fit, and no measure")
            print(f"of the plan: run again with --batch-size {used}.")
    return {
        "device": torch.cuda.get_device_name(0) if on_gpu else "cpu",
        "dtype": str(machine.dtype),
        "asked": {key: value for key, value in vars(asked).items() if key not in ("keep", "json")},
        "parameters": sizes.parameters,
        "trainable_parameters": figures["trainable_parameters"],
        "batch_size_used": used,
        "activation_checkpointing_used": figures["activation_checkpointing_used"],
        "load_seconds": round(load_seconds, 1),
        "planned_weights_gb": round(planned.weights / 1e9, 6),
        "planned_allocated_gb": round(planned.allocated / 1e9, 6),
        **on_the_gpu,
        "tokens_per_second": round(tokens * per_step / clock.seconds()),
        "tokens_per_second_with_warm_up": figures["tokens_per_second"],
        "versions": manifest.versions(["torch", "transformers", "peft", "bitsandbytes"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=["7b", "tiny"], default="7b")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=4, help="rows of a forward pass")
    parser.add_argument("--length", type=int, help="tokens of a row; 2048, or 64 for tiny")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--targets", default="all-linear", help="all-linear, or q_proj,v_proj")
    parser.add_argument("--quantization", choices=["nf4", "int8", "none"], default="nf4")
    parser.add_argument("--checkpointing", choices=["auto", "on", "off"], default="auto")
    parser.add_argument("--precision", choices=["auto", "bf16", "fp16", "fp32"], default="auto")
    parser.add_argument("--optimizer", default="paged_adamw_32bit")
    parser.add_argument("--keep", type=Path, help="folder for the model, kept for the next run")
    parser.add_argument("--json", type=Path, help="file for the figures")
    asked = parser.parse_args()
    if asked.steps < WARM + 3:
        parser.error(f"--steps: {WARM} are not timed, so {WARM + 3} are the least")
    asked.length = asked.length or (64 if asked.size == "tiny" else 2048)
    if asked.targets != "all-linear":
        asked.targets = asked.targets.split(",")
    with tempfile.TemporaryDirectory(prefix="mistral-") as temporary:
        scratch = Path(temporary)
        figures = measure(asked, asked.keep or scratch / "model", scratch)
    text = json.dumps(figures, indent=2)
    print(text)
    if asked.json:
        asked.json.write_text(text + "\n")


if __name__ == "__main__":
    main()

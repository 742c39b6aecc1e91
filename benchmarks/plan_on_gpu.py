"""What `snakemake plan` says of three models, and what their training then took.

    python benchmarks/plan_on_gpu.py --json OUT

writes models of random weights in the shapes of SmolLM2-135M, TinyLlama-1.1B and Mistral-7B (17 GB
of temporary disk), plans their training on the sample data with `hardware.trial: true`, trains them
by the pipeline, and compares time and memory with the manifests. It needs a GPU with 16 GB or more
and no network. `--size tiny` runs the same on a CPU with one small model; memory is not compared.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import torch
import yaml
from deltatune.models import random_weights
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PROJECT = Path(__file__).resolve().parents[1]
LLAMA = {"model_type": "llama", "max_position_embeddings": 2048}
SHAPES = {
    "smollm2-135m": LLAMA
    | {
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "tie_word_embeddings": True,
    },
    "tinyllama-1b": LLAMA
    | {
        "vocab_size": 32000,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
    },
    "mistral-7b": {
        "model_type": "mistral",
        "max_position_embeddings": 32768,
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
}
TINY = {
    "tiny": LLAMA
    | {
        "vocab_size": 1024,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
}
ROWS = {
    "smollm2-135m": (8, 512),
    "tinyllama-1b": (4, 1024),
    "mistral-7b": (4, 1024),
    "tiny": (2, 64),
}
"""Rows of a forward pass, tokens of a row."""


def save_tokenizer(folder: Path) -> None:
    """1,000 pieces of the sample's novel, fewer than any of the models has."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train([str(PROJECT / "data" / "sample" / "prose.txt")], trainer)
    names = dict(zip(("unk_token", "bos_token", "eos_token"), special, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


def config(folder: Path, names: list[str], steps: int) -> dict:
    experiments, tasks, bases = {}, {}, {}
    for name in names:
        batch, length = ROWS[name]
        bases[name] = {"source": "local", "path": str(folder / name)}
        tasks[name] = {"kind": "prose", "dataset": "prose", "max_length": length}
        experiments[name] = {
            "model": name,
            "task": name,
            "quantization": "nf4",
            "lora": {"rank": 16, "alpha": 32, "dropout": 0.05, "targets": "all-linear"},
            "training": {"max_steps": steps, "batch_size": batch, "evaluations": 1},
        }
    return {
        "run": "all",
        "seeds": [1],
        "cross_task": "none",
        "hardware": {"trial": True},
        "datasets": {"prose": {"source": "sample", "name": "prose"}},
        "models": bases,
        "tasks": tasks,
        "experiments": experiments,
    }


def snakemake(folder: Path, *arguments: str) -> None:
    call = [sys.executable, "-m", "snakemake", "-s", str(PROJECT / "Snakefile"), "--cores", "2"]
    print("snakemake", *arguments, flush=True)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run([*call, *arguments], cwd=folder, env=environment, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=["gpu", "tiny"], default="gpu")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--json", type=Path, help="file for the figures")
    asked = parser.parse_args()
    shapes = TINY if asked.size == "tiny" else SHAPES
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    if asked.size == "gpu" and device == "cpu":
        raise SystemExit("these sizes need a GPU; --size tiny runs the same code on a CPU")
    with tempfile.TemporaryDirectory(prefix="plan-") as temporary:
        folder = Path(temporary)
        for name, shape in shapes.items():
            random_weights.write(
                folder / name, shape | {"bos_token_id": 1, "eos_token_id": 2}, device
            )
            save_tokenizer(folder / name)
        settings = yaml.safe_dump(config(folder, list(shapes), asked.steps), sort_keys=False)
        (folder / "config.yaml").write_text(settings)
        snakemake(folder, "plan")
        targets = [f"results/experiments/{name}/seed-1/manifest.json" for name in shapes]
        snakemake(folder, *targets)
        with (folder / "results" / "plan.csv").open(encoding="utf-8") as file:
            planned = {row["experiment"]: row for row in csv.DictReader(file)}
        lines = []
        for name, target in zip(shapes, targets, strict=True):
            took = json.loads((folder / target).read_text())
            plan, seconds = planned[name], took["training_seconds"]
            expected = float(plan["seconds_per_step"]) * took["steps"]
            line = {
                "model": name,
                "rows": "{} x {}".format(*ROWS[name]),
                "checkpointing": took["activation_checkpointing_used"],
                "planned_seconds": round(expected, 1),
                "training_seconds": seconds,
                "planned_over_measured_time": round(expected / seconds, 3),
            }
            if "peak_gpu_memory_gb" in took:
                memory = int(plan["allocated"]) / 1e9
                line |= {
                    "planned_gb": round(memory, 3),
                    "peak_gpu_memory_gb": took["peak_gpu_memory_gb"],
                    "planned_over_measured_memory": round(memory / took["peak_gpu_memory_gb"], 3),
                }
            lines.append(line)
    name = torch.cuda.get_device_name(0) if device != "cpu" else "CPU"
    text = json.dumps({"device": name, "torch": torch.__version__, "models": lines}, indent=2)
    print(text)
    if asked.json:
        asked.json.write_text(text + "\n")


if __name__ == "__main__":
    main()

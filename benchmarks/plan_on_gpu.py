"""What `snakemake plan` says of three models, and what their training then took.

    python benchmarks/plan_on_gpu.py --json OUT

writes models of random weights in the shapes of SmolLM2-135M, TinyLlama-1.1B and Mistral-7B (17 GB
of temporary disk), plans their training on the sample data with `hardware.trial: true`, trains them
by the pipeline, and compares time and memory with the manifests. It needs a GPU with 16 GB or more
and no network. `--size tiny` runs the same on a CPU with one small model; memory is not compared.

    python benchmarks/plan_on_gpu.py --settings --json OUT

plans six settings of two of the models, in rows of 512 and of 2,048 tokens, with checkpointing as
it is chosen and as it is set, and compares the micro-batch, the checkpointing, the kernels and the
peak that the plan foretells with those of the ten steps of its trial: some minutes on an H100. The
kernels are those of a run of `--steps` steps: 60 are too few for compiling to pay, 3,000 are
enough.
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
from shapes import MISTRAL_7B, SMOLLM2_135M, TINYLLAMA_1B, tiny
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PROJECT = Path(__file__).resolve().parents[1]
SHAPES = {
    "smollm2-135m": SMOLLM2_135M,
    "tinyllama-1b": TINYLLAMA_1B,
    "mistral-7b": MISTRAL_7B,
}
TINY = {"tiny": tiny(TINYLLAMA_1B, 1024)}
ROWS = {
    "smollm2-135m": (8, 512),
    "tinyllama-1b": (4, 1024),
    "mistral-7b": (4, 1024),
    "tiny": (2, 64),
}
"""Rows of a forward pass, tokens of a row."""
SETTINGS = [
    ("smollm2-135m", 512, 8, 4, "auto"),
    ("smollm2-135m", 2048, 4, 2, True),
    ("mistral-7b", 512, 4, 4, "auto"),
    ("mistral-7b", 512, 4, 4, True),
    ("mistral-7b", 2048, 2, 2, "auto"),
    ("mistral-7b", 2048, 4, 2, True),
]
"""Model, tokens of a row, batch_size, gradient_accumulation, activation_checkpointing."""
TINY_SETTINGS = [("tiny", 64, 2, 2, "auto"), ("tiny", 32, 2, 2, True)]
LONG = 40
"""How many times the sample's novel is read, so that there are rows for every step."""


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


def experiment(model: str, task: str, **training: object) -> dict:
    return {
        "model": model,
        "task": task,
        "quantization": "nf4",
        "lora": {"rank": 16, "alpha": 32, "dropout": 0.05, "targets": "all-linear"},
        "training": {"evaluations": 1, **training},
    }


def config(folder: Path, names: list[str], steps: int, settings: list[tuple]) -> dict:
    """Of an experiment for each of the settings, or without any for each of the models."""
    bases = {name: {"source": "local", "path": str(folder / name)} for name in names}
    experiments = {
        name: experiment(name, name, max_steps=steps, batch_size=ROWS[name][0]) for name in names
    }
    lengths = {name: ROWS[name][1] for name in names}
    if settings:
        experiments = {
            f"{model}-{length}-{checkpointing}".lower(): experiment(
                model,
                f"rows-of-{length}",
                max_steps=steps,
                batch_size=batch,
                gradient_accumulation=passes,
                activation_checkpointing=checkpointing,
            )
            for model, length, batch, passes, checkpointing in settings
        }
        lengths = {f"rows-of-{length}": length for _, length, *_ in settings}
    tasks = {
        name: {"kind": "prose", "dataset": "prose", "max_length": length}
        for name, length in lengths.items()
    }
    novel = {"source": "file", "path": str(folder / "novel.txt")}
    return {
        "run": "all",
        "seeds": [1],
        "cross_task": "none",
        "hardware": {"trial": True},
        "datasets": {"prose": novel if settings else {"source": "sample", "name": "prose"}},
        "models": bases,
        "tasks": tasks,
        "experiments": experiments,
    }


def snakemake(folder: Path, *arguments: str) -> None:
    call = [sys.executable, "-m", "snakemake", "-s", str(PROJECT / "Snakefile"), "--cores", "2"]
    print("snakemake", *arguments, flush=True)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run([*call, *arguments], cwd=folder, env=environment, check=True)


def chosen(row: dict[str, str]) -> dict:
    """A line of plan.csv: what was chosen, foretold and measured."""
    line = {
        "setting": row["experiment"],
        "tokens_of_a_row": int(row["row_length"]),
        "planned_batch": f"{row['batch_size']} x {row['gradient_accumulation']}",
        "planned_checkpointing": row["activation_checkpointing"],
        "why": row["batch_size_reason"],
        "planned_kernels": f"{row['kernels']}, {row['launches']}",
        "optimizer": row["optimizer_used"],
        "measured_batch_size": row["measured_batch_size"],
        "measured_checkpointing": row["measured_checkpointing"],
        "measured_kernels": f"{row['measured_kernels']}, {row['measured_launches']}",
        "seconds_per_step": round(float(row["seconds_per_step"]), 3),
    }
    if row["measured_bytes"]:
        planned, measured = int(row["allocated"]) / 1e9, float(row["measured_bytes"]) / 1e9
        line |= {"planned_gb": round(planned, 3), "peak_gb": round(measured, 3)}
        line |= {"planned_over_measured": round(planned / measured, 3)}
    return line


def trained(folder: Path, names: list[str], planned: list[dict[str, str]]) -> list[dict]:
    """Train the models by the pipeline, and compare what it took with the plan."""
    targets = [f"results/experiments/{name}/seed-1/manifest.json" for name in names]
    snakemake(folder, *targets)
    plans = {row["experiment"]: row for row in planned}
    lines = []
    for name, target in zip(names, targets, strict=True):
        took = json.loads((folder / target).read_text())
        plan, seconds = plans[name], took["training_seconds"]
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
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=["gpu", "tiny"], default="gpu")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--settings", action="store_true", help="six settings, by the plan alone")
    parser.add_argument("--json", type=Path, help="file for the figures")
    asked = parser.parse_args()
    shapes = TINY if asked.size == "tiny" else SHAPES
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    if asked.size == "gpu" and device == "cpu":
        raise SystemExit("these sizes need a GPU; --size tiny runs the same code on a CPU")
    with tempfile.TemporaryDirectory(prefix="plan-") as temporary:
        folder = Path(temporary)
        settings = (TINY_SETTINGS if asked.size == "tiny" else SETTINGS) * asked.settings
        shapes = {n: s for n, s in shapes.items() if not settings or n in {m for m, *_ in settings}}
        novel = (PROJECT / "data" / "sample" / "prose.txt").read_text(encoding="utf-8")
        (folder / "novel.txt").write_text(novel * LONG, encoding="utf-8")
        for name, shape in shapes.items():
            fields = shape | {"bos_token_id": 1, "eos_token_id": 2}
            if settings:  # the trial draws its weights itself
                (folder / name).mkdir()
                (folder / name / "config.json").write_text(json.dumps(fields))
            else:
                random_weights.write(folder / name, fields, device)
            save_tokenizer(folder / name)
        text = yaml.safe_dump(config(folder, list(shapes), asked.steps, settings), sort_keys=False)
        (folder / "config.yaml").write_text(text)
        snakemake(folder, "plan")
        with (folder / "results" / "plan.csv").open(encoding="utf-8") as file:
            planned = list(csv.DictReader(file))
        if settings:
            lines = [chosen(row) for row in planned]
        else:
            lines = trained(folder, list(shapes), planned)
    name = torch.cuda.get_device_name(0) if device != "cpu" else "CPU"
    text = json.dumps({"device": name, "torch": torch.__version__, "models": lines}, indent=2)
    print(text)
    if asked.json:
        asked.json.write_text(text + "\n")


if __name__ == "__main__":
    main()

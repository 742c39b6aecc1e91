"""Train one adapter on several GPUs as `train_adapter` does, and compare with one GPU.

    python benchmarks/train_on_gpus.py

needs two GPUs of 24 GB or more, what train_mistral_7b.py needs, and no network. It
trains with one GPU, with all of them (DDP) and with the base sharded over them (FSDP), first a
small model in fp32, whose losses must agree within 1e-4, then a Mistral-7B with random weights in
NF4 and bf16, for memory and speed. Every run of the small model is also stopped by a signal
and resumed; its adapter must be that of the run that was not stopped. It ends with status 1 where
something does not hold.

    python benchmarks/train_on_gpus.py --size tiny

does the first part alone; without a GPU it takes processes on the CPU.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from deltatune.core.errors import UserError
from deltatune.models.settings import Lora
from deltatune.train import launch
from deltatune.train.job import Job, Trained
from deltatune.train.settings import Base, Training, TrainSettings

TOLERANCE = 1e-4


def rows(folder: Path, count: int, length: int, vocabulary: int, seed: int) -> None:
    """Rows of random tokens, each one document; a loss counts from a random place on."""
    import numpy as np
    from datasets import Dataset

    draw = np.random.default_rng(seed)
    ids = draw.integers(3, vocabulary, (count, length), dtype=np.int32)
    labels = ids.copy()
    for row in labels:
        row[: draw.integers(0, length - 2)] = -100
    positions = np.broadcast_to(np.arange(length, dtype=np.int32), ids.shape)
    columns = {"input_ids": ids, "labels": labels, "position_ids": positions}
    Dataset.from_dict({k: list(v) for k, v in columns.items()}).save_to_disk(str(folder))


def job(name: str, folder: Path, model: Path, gpus: int, sharded: bool, **training) -> Job:
    return Job(
        settings=TrainSettings(
            model="random weights",
            quantization="nf4",
            lora=Lora(rank=16, alpha=32, dropout=0, targets="all-linear"),
            training=Training(gpus=gpus, sharded=sharded, **training),
            seed=3,
            base=Base(name="random weights", revision=None),
        ),
        model=model,
        rows={split: folder / split for split in ("train", "validation")},
        output=folder / name / "adapter",
        checkpoints=folder / name / "checkpoints" / "a" / "seed-1",
        fingerprint="m",
    )


def alone(path: str) -> None:
    """One process: train, and leave what comes out beside the job."""
    from deltatune.core import manifest
    from deltatune.train.train import setup

    trained = setup(pickle.loads(Path(path).read_bytes()))
    result = replace(trained, used=manifest.used(trained.used))
    Path(path).with_suffix(".result").write_bytes(pickle.dumps(result))


def run(task: Job, stop_at: int | None = None) -> tuple[Trained, float] | None:
    """What came out, and seconds; None where it was stopped by a signal, after the step
    `stop_at`."""
    began = time.perf_counter()
    if task.settings.training.gpus == 1:
        with tempfile.TemporaryDirectory(prefix="alone-") as folder:
            path = Path(folder, "job")
            path.write_bytes(pickle.dumps(task))
            subprocess.run([sys.executable, __file__, "--alone", str(path)], check=True)
            trained = pickle.loads(path.with_suffix(".result").read_bytes())
    else:

        def progress(text: str) -> None:
            print(f"  {text}", flush=True)
            if stop_at and text.startswith(f"step {stop_at}/"):
                os.kill(os.getpid(), signal.SIGTERM)

        try:
            trained = launch.run(task, progress=progress)
        except UserError as error:
            if stop_at is None or "interrupted" not in str(error):
                raise
            print(f"  {error}", flush=True)
            return None
    return trained, round(time.perf_counter() - began, 1)


def adapter(task: Job) -> dict:
    from safetensors.torch import load_file

    return load_file(task.output / "adapter_model.safetensors")


def furthest(one: dict, other: dict) -> float:
    """The largest difference of two adapters' weights."""
    return max((one[name] - other[name]).abs().max().item() for name in one)


def losses_apart(one: Trained, other: Trained, until: float = math.inf) -> float:
    """The largest difference of losses at the steps until one."""
    steps = one.losses["step"] <= until
    return float((one.losses["loss"] - other.losses["loss"])[steps].abs().max())


def small(folder: Path, gpus: int) -> tuple[dict, list[str]]:
    """Figures of the small model, and what does not hold."""
    from train_mistral_7b import TINY, write_model

    shape = TINY | {"hidden_size": 256, "intermediate_size": 512}
    write_model(folder / "model", shape)
    # Not a multiple of a step's rows: the last step of an epoch is smaller.
    rows(folder / "train", 8 * gpus * 2 + 3, 64, shape["vocab_size"], 1)
    rows(folder / "validation", 7, 64, shape["vocab_size"], 2)
    settings = {
        "epochs": 3,
        "batch_size": 4,
        "gradient_accumulation": 2 * gpus,
        "learning_rate": 2e-3,
        "precision": "fp32",
        "optimizer": "paged_adamw_32bit",
    }
    figures, wrong, one_gpu = {}, [], None
    ways = {"one": (1, False), "ddp": (gpus, False), "fsdp": (gpus, True)}
    for name, (count, sharded) in ways.items():
        print(f"small model, {name}", flush=True)
        task = job(name, folder, folder / "model", count, sharded, **settings)
        result, seconds = run(task)
        weights = adapter(task)
        figures[name] = {"losses": result.figures["losses"], "seconds": seconds}
        if one_gpu is None:
            one_gpu = result
            continue
        figures[name]["losses_apart"] = apart = losses_apart(one_gpu, result)
        if not apart <= TOLERANCE:
            wrong.append(f"{name}: losses are {apart} from those of one GPU")
        other = job(f"{name}-stopped", folder, folder / "model", count, sharded, **settings)
        if run(other, stop_at=2) is not None:
            wrong.append(f"{name}: a signal did not stop it")
        elif not list(other.checkpoints.glob("m/step-*")):
            wrong.append(f"{name}: nothing was saved when it was stopped")
        else:
            resumed, _ = run(other)
            figures[name]["resumed_apart"] = apart = furthest(weights, adapter(other))
            figures[name]["resumed_losses_apart"] = losses_apart(result, resumed)
            if not apart <= TOLERANCE:
                wrong.append(f"{name}: the adapter of the stopped run is {apart} away")
    return figures, wrong


def large(
    folder: Path, model: Path, gpus: int, asked: argparse.Namespace
) -> tuple[dict, list[str]]:
    """Figures of Mistral-7B, and what does not hold. After the first step bf16 rounds differently
    with each way of adding gradients up; before it, the base is the same."""
    from train_mistral_7b import MISTRAL_7B, write_model

    if not (model / "config.json").is_file():
        began = time.perf_counter()
        write_model(model, MISTRAL_7B)
        print(f"model in {model}: {time.perf_counter() - began:.0f} s", flush=True)
    per_step = asked.batch_size * gpus
    rows(folder / "train", asked.steps * per_step, asked.length, MISTRAL_7B["vocab_size"], 1)
    rows(folder / "validation", gpus, asked.length, MISTRAL_7B["vocab_size"], 2)
    settings = {
        "epochs": 1,
        "batch_size": asked.batch_size,
        "gradient_accumulation": gpus,
        "evaluations": 1,
        "optimizer": "paged_adamw_32bit",
    }
    figures, wrong, one_gpu = {}, [], None
    for name, (count, sharded) in {
        "one": (1, False),
        "ddp": (gpus, False),
        "fsdp": (gpus, True),
    }.items():
        print(f"Mistral-7B, {name}", flush=True)
        result, seconds = run(job(name, folder, model, count, sharded, **settings))
        one_gpu = one_gpu or result
        facts = result.figures
        apart = losses_apart(one_gpu, result, until=0)
        if not apart <= TOLERANCE:
            wrong.append(f"Mistral-7B, {name}: the base's losses are {apart} from those of one GPU")
        figures[name] = {
            "losses": facts["losses"],
            "base_losses_apart": apart,
            "losses_apart": losses_apart(one_gpu, result),
            "tokens_per_second": facts["tokens_per_second"],
            "training_seconds": facts["training_seconds"],
            "wall_seconds": seconds,
            "batch_size_used": facts["batch_size_used"],
            "gradient_accumulation_used": facts["gradient_accumulation_used"],
            "peak_gpu_memory_gb": result.used.get("peak_gpu_memory_gb"),
            "main_memory_gb": result.used["peak_memory_gb"],
        }
    return figures, wrong


def quantized_alike() -> dict:
    """Whether a CPU packs weights into NF4 as a GPU does: sharding quantizes on the GPU."""
    import torch
    from bitsandbytes.functional import quantize_4bit

    weights = torch.randn(1024, 1024, generator=torch.Generator().manual_seed(0)).bfloat16()
    packed = [
        quantize_4bit(weights.to(device), quant_type="nf4", compress_statistics=True)[0].cpu()
        for device in ("cpu", "cuda:0")
    ]
    return {"bytes_that_differ": int((packed[0] != packed[1]).sum()), "of": packed[0].numel()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=["tiny", "all"], default="all")
    parser.add_argument("--gpus", type=int, default=2)
    parser.add_argument("--steps", type=int, default=12, help="of Mistral-7B")
    parser.add_argument("--batch-size", type=int, default=4, help="rows of a forward pass")
    parser.add_argument("--length", type=int, default=2048, help="tokens of a row")
    parser.add_argument("--keep", type=Path, help="folder for the 7B model, kept")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        alone(asked.alone)
        return
    import torch
    from deltatune.core import manifest

    on_gpu = torch.cuda.is_available()
    if on_gpu and torch.cuda.device_count() < asked.gpus:
        raise SystemExit(f"{asked.gpus} GPUs are needed, {torch.cuda.device_count()} are here")
    if asked.size == "all" and not on_gpu:
        raise SystemExit("Mistral-7B needs GPUs; --size tiny runs the same code on a CPU")
    with tempfile.TemporaryDirectory(prefix="gpus-") as temporary:
        scratch = Path(temporary)
        figures = {
            "device": torch.cuda.get_device_name(0) if on_gpu else "cpu",
            "gpus": asked.gpus,
            "versions": manifest.versions(["torch", "transformers", "peft", "bitsandbytes"]),
        }
        figures["small"], wrong = small(scratch / "small", asked.gpus)
        if on_gpu:
            figures["nf4_on_cpu_and_gpu"] = quantized_alike()
        if asked.size == "all":
            model = asked.keep or scratch / "model"
            figures["mistral_7b"], more = large(scratch / "large", model, asked.gpus, asked)
            wrong += more
    figures["wrong"] = wrong
    text = json.dumps(figures, indent=2)
    print(text)
    if asked.json:
        asked.json.write_text(text + "\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

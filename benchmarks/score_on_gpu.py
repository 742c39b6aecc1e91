"""Labels and running text on a GPU: texts and tokens per second, before a change and now.

    python benchmarks/score_on_gpu.py --rows AG_NEWS.csv --novel NOVEL.txt [MODEL] [--before FOLDER]

scores the four labels of 1,000 rows (label, title and description), and the windows of a novel that
overlap by half, under a model in a local folder; without one, under a Mistral-7B of random weights
(14.5 GB, written once to `--keep`), whose tokenizer is trained on both files. `--before` is a
checkout of another version, which does the same in a process of its own, in batches of so many rows
and windows.

Prints the median of the repetitions after one that is not counted, ratios, peak memory, versions
and the machine, and asserts that both gave the same scores: in 16 bits a log-likelihood depends on
the shapes of its batch, so within the tolerances that it prints. Needs no network; `--size tiny`
runs the same code on a CPU in a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# Behind PYTHONPATH, which has another version.
sys.path.append(str(Path(__file__).resolve().parents[1] / "scripts"))

import numpy as np
import pandas as pd
import torch
from deltatune.core import manifest
from deltatune.evaluate import label_likelihood, likelihood
from deltatune.models import device, random_weights
from deltatune.models.load import load_base
from deltatune.models.pretrain import train_tokenizer
from deltatune.tokens.tokenizer import load_tokenizer
from shapes import MISTRAL_7B, tiny

ROOT = Path(__file__).resolve().parents[1]
SHAPES = {"7b": MISTRAL_7B | {"sliding_window": None}}
SHAPES["tiny"] = tiny(SHAPES["7b"], 512)
LABELS = [" World", " Sports", " Business", " Sci/Tech"]
#: How far apart scores may be: the mean of all labels in nats, the share of texts that get another
#: label, and a text's nats per token, relatively.
LIMITS = {
    "cuda": {"label": 0.05, "other label": 0.03, "text": 1e-3},
    "cpu": {"label": 1e-5, "other label": 0.0, "text": 1e-6},
}


def quiet(text: str) -> None:
    pass


def timed(run: Callable[[], Any], repetitions: int) -> tuple[Any, dict[str, Any]]:
    """What it gives, seconds of each repetition but a first one, and peak of GPU memory in GB."""
    on_gpu, seconds = torch.cuda.is_available(), []
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(repetitions + 1):
        began = time.perf_counter()
        # Scores are numpy arrays, so the GPU is done.
        result = run()
        seconds.append(time.perf_counter() - began)
    peak = torch.cuda.max_memory_allocated() / 1e9 if on_gpu else 0.0
    return result, {"seconds": seconds[1:], "median": statistics.median(seconds[1:]), "peak": peak}


def prompts(rows: Path, count: int) -> list[str]:
    table = pd.read_csv(rows).head(count)
    return [f"{t} {d}\n\nCategory:" for t, d in zip(table.title, table.description, strict=True)]


def written(folder: Path, asked: argparse.Namespace) -> Path:
    """A model of random weights and its tokenizer."""
    if not (folder / "tokenizer.json").is_file():
        shape = SHAPES[asked.size]
        texts = [*prompts(asked.rows, 10_000), asked.novel.read_text(encoding="utf-8")]
        on_gpu = torch.cuda.is_available()
        random_weights.write(folder, shape, "cuda" if on_gpu else "cpu")
        train_tokenizer(texts, shape["vocab_size"]).save_pretrained(folder)
    return folder


# ---------------------------------------------------------------- in a process of its own


def score(asked: argparse.Namespace) -> None:
    """Measure one version, and write scores and figures to `--result`."""
    machine = device.prepare(seed=0, threads=torch.get_num_threads())
    model = load_base(asked.model, asked.quantization, machine)
    tokenizer = load_tokenizer(asked.model)
    texts = prompts(asked.rows, asked.texts)
    novel = asked.novel.read_text(encoding="utf-8")
    parts = likelihood.windows(novel, tokenizer, asked.context)[: asked.windows]
    read = sum(len(part.ids) for part in parts)
    runs = [
        *[
            ("labels", n, len(texts), partial(labels, model, tokenizer, texts, n))
            for n in asked.rows_at_once
        ],
        *[
            ("text", n, read, partial(text, model, tokenizer, parts, n))
            for n in asked.windows_at_once
        ],
    ]
    made: dict[str, np.ndarray] = {}
    lines = []
    for work, size, count, run in runs:
        scores, line = timed(run, asked.repetitions)
        made[f"{work} {size}"] = scores
        lines.append(line | {"work": work, "size": size, "count": count})
    np.savez(asked.result, lines=json.dumps(lines), **made)


def batch_size(asked: str) -> Any:
    return asked if asked == "auto" else int(asked)


def labels(model: Any, tokenizer: Any, texts: list[str], size: str) -> np.ndarray:
    """[texts, labels] in nats, with the token that ends each label."""
    options = {"max_length": 512, "batch_size": batch_size(size), "progress": quiet}
    return label_likelihood.score_completions(model, tokenizer, texts, LABELS, **options).ended


def text(model: Any, tokenizer: Any, parts: list, size: str) -> np.ndarray:
    """[windows] in nats per token."""
    options = {"batch_size": batch_size(size), "progress": quiet}
    nll = likelihood.score_windows(model, tokenizer, parts, **options)
    return nll / [part.scored for part in parts]


# ---------------------------------------------------------------- both of them


def run(asked: argparse.Namespace, model: Path, version: Path, now: bool) -> dict[str, Any]:
    """The scores and figures of a version, from a process of its own."""
    sizes = {"rows-at-once": asked.rows_at_once, "windows-at-once": asked.windows_at_once}
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result.npz"
        command = [sys.executable, __file__, str(model), "--result", str(result)]
        for key in ("rows", "novel", "quantization", "texts", "windows", "context", "repetitions"):
            command += [f"--{key}", str(getattr(asked, key))]
        for key, values in sizes.items():
            command += [f"--{key}", *(["auto"] * bool(values) if now else values)]
        environment = os.environ | {"PYTHONPATH": str(version.resolve() / "scripts")}
        subprocess.run(command, check=True, env=environment)
        with np.load(result) as loaded:
            return {name: loaded[name] for name in loaded.files}


def show(name: str, figures: dict[str, Any]) -> None:
    for line in json.loads(str(figures["lines"])):
        unit = "texts/s" if line["work"] == "labels" else "tokens/s"
        rate, size = line["count"] / line["median"], line["size"]
        seconds = ", ".join(f"{one:.2f}" for one in line["seconds"])
        print(f"{name:8}{line['work']:8}batches of {size:6}{rate:10.1f} {unit:10}", end="")
        print(f"{line['peak']:7.2f} GB   seconds: {seconds}", flush=True)


def compare(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Ratios to the best batch size before. Asserts that the scores are the same."""
    lines = [json.loads(str(one["lines"])) for one in (before, now)]
    limits = LIMITS["cuda" if torch.cuda.is_available() else "cpu"]
    for work in dict.fromkeys(line["work"] for line in lines[1]):
        theirs, ours = ([one for one in some if one["work"] == work] for some in lines)
        best = min(theirs, key=lambda one: one["median"])
        ratio = best["median"] / ours[0]["median"]
        print(f"{work}: {ratio:.2f} times as fast as before in batches of {best['size']}")
        old, new = before[f"{work} {best['size']}"], now[f"{work} {ours[0]['size']}"]
        if work == "labels":
            apart = float(np.abs(old - new).mean())
            other = float((old.argmax(1) != new.argmax(1)).mean())
            print(f"  mean difference of a label {apart:.2e} nats (at most {limits['label']});")
            print(f"  {other:.2%} of the texts get another (at most {limits['other label']:.0%})")
            assert apart <= limits["label"] and other <= limits["other label"]
        else:
            apart = float(abs(old.mean() - new.mean()) / old.mean())
            print(f"  difference of nats per token {apart:.2e} (at most {limits['text']})")
            assert apart <= limits["text"]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--novel", type=Path, required=True)
    parser.add_argument("--before", type=Path, help="checkout of another version")
    parser.add_argument("--rows-at-once", nargs="*", default=["64"], help="before; none: no labels")
    parser.add_argument("--windows-at-once", nargs="*", default=["8"], help="before; none: no text")
    parser.add_argument("--size", choices=["7b", "tiny"], default="7b", help="of random weights")
    parser.add_argument("--keep", type=Path, help="folder of random weights, for the next run")
    parser.add_argument("--quantization", default="nf4")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--windows", type=int, default=64)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    asked = parsed()
    if asked.result:
        score(asked)
        return
    versions = manifest.versions(["torch", "transformers", "peft", "bitsandbytes"])
    on_gpu = torch.cuda.is_available()
    print(torch.cuda.get_device_name(0) if on_gpu else "cpu", json.dumps(versions))
    print(f"{asked.texts} texts, {asked.windows} windows of {asked.context}, {asked.quantization}")
    with tempfile.TemporaryDirectory(prefix="scored-") as scratch:
        model = asked.model or written(asked.keep or Path(scratch) / "model", asked)
        before = run(asked, model, asked.before, now=False) if asked.before else None
        if before:
            show("before", before)
        now = run(asked, model, ROOT, now=True)
        show("now", now)
        if before:
            compare(before, now)


if __name__ == "__main__":
    main()

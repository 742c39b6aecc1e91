"""This project and its peers on the same work: model, data, precision and machine.

    python benchmarks/peers.py LINE [--wheels DIR]

| LINE | work | peers |
|---|---|---|
| train-512 | QLoRA at Mistral-7B's shape, Alpaca packed to 512 tokens | TRL, TRL packed, Unsloth |
| train-2048 | the same, rows of 2,048 tokens | TRL packed, Unsloth |
| train-135m | SmolLM2-135M, 8 rows of 512 tokens a step | TRL packed |
| labels | 1,000 rows of AG News, 7B in NF4 | lm_eval, at its best batch size |
| perplexity | a novel, 7B in NF4 | the loop of the Hugging Face documentation |

Answers, whose peers are in transformers itself, have benchmarks/generate_on_gpu.py.

Each peer is installed from PyPI in an environment of its own below `--work`, in the versions of
benchmarks/peers/*.txt, or from the wheels in DIR/trl, DIR/unsloth and DIR/lm_eval. A model of
random weights is written to `--model` where that folder has none: speed and memory do not depend on
what the weights are. Printed are medians of the measured steps, or of three whole runs of labels
and perplexity after one that is not measured; ratios, peaks of GPU memory, versions and machine. It
ends with status 1 where both sides did not compute the same, or one of them failed.

    python benchmarks/peers.py LINE --tiny

goes the same way in seconds on a CPU, with a model of two small blocks and the sample data. It
shows that both sides compute the same, and nothing of speed. `--peers` with nothing behind it
measures this side of a training alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).parents[1] / "scripts")]

import torch  # noqa: E402
from peers import environments, inputs, lines  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("line", choices=list(lines.LINES))
    parser.add_argument("--wheels", type=Path, help="folder with a folder of wheels for each peer")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--model", type=Path, help="its folder, written where there is none")
    parser.add_argument("--work", type=Path, help="folder of environments and logs, kept")
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=["trl", "trl-packed", "unsloth"],
        help="of a training, in place of all of its line; none where nothing follows",
    )
    parser.add_argument("--checkpointing", nargs="+", choices=["on", "off"], default=["on", "off"])
    parser.add_argument("--rows", type=int, help="of a forward pass; 4, or 8 of the 135M")
    parser.add_argument("--accumulation", type=int, default=1, help="forward passes of a step")
    parser.add_argument("--warm", type=int, default=5, help="steps that are not measured")
    parser.add_argument("--steps", type=int, default=15, help="steps that are")
    parser.add_argument("--limit", type=float, default=240, help="seconds of one process")
    parser.add_argument("--alpaca", type=Path, default=inputs.SAMPLE / "instructions.json")
    parser.add_argument("--news", type=Path, default=inputs.SAMPLE / "news.csv")
    parser.add_argument("--novel", type=Path, default=inputs.SAMPLE / "prose.txt")
    parser.add_argument("--json", type=Path, help="file for all figures")
    asked = parser.parse_args()
    if not (asked.tiny or torch.cuda.is_available()):
        parser.error("this measures a GPU, and there is none; --tiny runs the same code on a CPU")
    return asked


def machine() -> dict[str, str | int]:
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "gpu": gpu,
        "cuda": str(torch.version.cuda),
        "cores": cores or 0,
        "python": platform.python_version(),
    }


def main() -> int:
    asked = arguments()
    with tempfile.TemporaryDirectory(prefix="peers-") as temporary:
        work = (asked.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        line = lines.LINES[asked.line]
        model = (asked.model or work / f"model-{lines.size(line, asked.tiny)}").resolve()
        texts = [asked.alpaca, asked.news, asked.novel]
        inputs.write_model(model, lines.size(line, asked.tiny), texts)

        def prepared(peer: str | None) -> environments.Environment:
            return environments.environment(peer, work / "environments", asked.wheels)

        figures, wrong = line.run(lines.Run(asked, model, work, prepared))
    report = {"line": asked.line, "machine": machine(), "figures": figures, "wrong": wrong}
    print(json.dumps(report["machine"]))
    for versions in {json.dumps(one["versions"]) for one in figures.values()}:
        print(versions)
    print(lines.table(figures))
    for message in wrong:
        print(f"WRONG: {message}")
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

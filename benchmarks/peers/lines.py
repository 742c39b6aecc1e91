"""The lines of benchmarks/peers.py: what each side does, and that both computed the same."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers import inputs
from peers.environments import Environment

Figures = dict[str, dict[str, Any]]
#: The speeds that ways are compared by, the one of a line among them.
SPEEDS = ("tokens_per_second", "rows_per_second")


@dataclass(frozen=True)
class Run:
    """asked: the command line. prepared: a peer's environment."""

    asked: argparse.Namespace
    model: Path
    work: Path
    prepared: Callable[[str | None], Environment]

    def measure(self, module: str, peer: str | None, spec: dict[str, Any]) -> tuple[Figures, str]:
        """(what a process measured, why it failed or ""). spec: what it is asked."""
        name = f"{module}-{peer or 'here'}"
        out, log = self.work / f"{name}.json", self.work / f"{name}.log"
        out.unlink(missing_ok=True)
        path = self.work / f"{name}.spec"
        both = {"out": str(out), "model": str(self.model), "threads": 1}
        path.write_text(json.dumps(both | spec), encoding="utf-8")
        status = self.prepared(peer).run(module, path, log, self.asked.limit, self.work)
        figures = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
        for way, values in figures.items():
            print(f"{way}: {shown(values)}", flush=True)
        if status == 0:
            return figures, ""
        why = "took too long" if status == 124 else f"ended with status {status}"
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]
        print("\n".join(tail), flush=True)
        return figures, f"{name} {why}; what it printed is above"


@dataclass(frozen=True)
class Training:
    """QLoRA of packed rows. length: tokens of a row. packed: Alpaca's documents; else each row is
    a document that fills it."""

    model: str
    rows: int
    length: int
    packed: bool
    peers: tuple[str, ...]
    quantization: str = "nf4"

    def run(self, run: Run) -> tuple[Figures, list[str]]:
        asked = run.asked
        length = min(self.length, 128) if asked.tiny else self.length
        rows = asked.rows or self.rows
        count = (asked.warm + asked.steps) * rows * asked.accumulation
        if self.packed:
            documents = inputs.alpaca(asked.alpaca, run.model, length)
        else:
            documents = inputs.full(count, length, run.model)
        path = run.work / "documents.json"
        path.write_text(json.dumps(documents), encoding="utf-8")
        spec = {
            "documents": str(path),
            "beginning": str(run.work / "beginning.json"),
            "quantization": self.quantization,
            "length": length,
            "rows": rows,
            "accumulation": asked.accumulation,
            "warm": asked.warm,
            "steps": asked.steps,
            "dropout": 0.0,
        }
        checkpointing = [name == "on" for name in asked.checkpointing]
        figures, failed = run.measure("train_here", None, spec | {"checkpointing": checkpointing})
        wrong = [failed] if failed else []
        asked_peers = [n for n in self.peers if asked.peers is None or n in asked.peers]
        for peer in dict.fromkeys(name.split("-")[0] for name in asked_peers):
            packings = [name != "trl" for name in asked_peers if name.startswith(peer)]
            # A process for each: what one setting changes in a model would stay for the next.
            for one in checkpointing:
                ways = [{"packing": packing, "checkpointing": one} for packing in packings]
                more, failed = run.measure("train_sft", peer, spec | {"peer": peer, "ways": ways})
                figures |= more
                wrong += [failed] if failed else []
        return figures, wrong + training_differs(figures, 1e-4 if asked.tiny else 1e-3)


@dataclass(frozen=True)
class Evaluation:
    """One process that loads the base once, for both sides. peer: whose packages it needs."""

    model: str
    module: str
    peer: str | None
    spec: dict[str, Any]
    tiny: dict[str, Any]
    differs: Callable[[Figures], list[str]]
    quantization: str = "nf4"

    def run(self, run: Run) -> tuple[Figures, list[str]]:
        asked = run.asked
        files = {name: str(getattr(asked, name).resolve()) for name in ("alpaca", "news", "novel")}
        spec = files | {"quantization": self.quantization} | self.spec
        if asked.tiny:
            spec |= self.tiny
        figures, failed = run.measure(self.module, self.peer, spec)
        return figures, ([failed] if failed else []) + self.differs(figures)


def training_differs(figures: Figures, tolerance: float) -> list[str]:
    """Where a side trains on other tokens, or has another loss of the same documents before the
    first step. tolerance: of the loss, relative."""
    measured = {name: values for name, values in figures.items() if "failed" not in values}
    if not measured:
        return []
    name, one = next(iter(measured.items()))
    wrong = []
    for other, values in measured.items():
        if values["supervised_tokens"] != one["supervised_tokens"]:
            wrong.append(
                f"{other}: {values['supervised_tokens']} supervised tokens, "
                f"{one['supervised_tokens']} of {name}"
            )
        if values["loss"] is None or abs(values["loss"] / one["loss"] - 1) > tolerance:
            wrong.append(f"{other}: a loss of {values['loss']}, {one['loss']} of {name}")
    return wrong


def labels_differ(figures: Figures) -> list[str]:
    agreed = figures.get("lm_eval")
    if agreed and agreed["same_or_tied"] < 0.99:
        return [f"labels: the same prediction for {agreed['same_or_tied']:.1%} of the rows"]
    return []


def perplexities_differ(figures: Figures) -> list[str]:
    values = {name: (one["perplexity"], one["tokens"]) for name, one in figures.items()}
    if len(values) < 2:
        return []
    (one, tokens), (other, others) = values.values()
    alike = abs(one / other - 1) <= 1e-3 and tokens == others
    return [] if alike else [f"perplexity: {values}"]


LINES: dict[str, Training | Evaluation] = {
    "train-512": Training("7b", 4, 512, True, ("trl", "trl-packed", "unsloth")),
    "train-2048": Training("7b", 4, 2048, False, ("trl-packed", "unsloth")),
    "train-135m": Training("135m", 8, 512, True, ("trl-packed",)),
    "labels": Evaluation(
        "7b",
        "labels",
        "lm_eval",
        {"count": 1000, "tolerance": 0.1},
        {"count": 40, "tolerance": 1e-3},
        labels_differ,
    ),
    "perplexity": Evaluation(
        "7b",
        "perplexity",
        None,
        {"context": 1024, "characters": None},
        {"context": 128, "characters": 8000},
        perplexities_differ,
    ),
}


def size(line: Training | Evaluation, tiny: bool) -> str:
    return "tiny" if tiny else line.model


def shown(values: dict[str, Any]) -> dict[str, Any]:
    """Figures without those of each step."""
    left_out = ("all_seconds", "all_tokens", "versions")
    return {name: value for name, value in values.items() if name not in left_out}


def table(figures: Figures) -> str:
    """Speed and memory of each way, and how many times as fast the one here is: of a training, the
    one with the same checkpointing."""
    lines = [f"{'':38}{'per second':>12}{'seconds':>10}{'GB':>8}{'here is':>9}"]
    for name, one in figures.items():
        if "failed" in one:
            lines.append(f"{name:38}{one['failed']}")
            continue
        speed = next(kind for kind in SPEEDS if kind in one)
        same = [
            other
            for way, other in figures.items()
            if way.startswith("here")
            and "failed" not in other
            and other.get("checkpointing") == one.get("checkpointing")
        ]
        seconds = one.get("step_seconds", one.get("seconds"))
        gb = "" if one["peak_gb"] is None else f"{one['peak_gb']:.1f}"
        ratio = f"{same[0][speed] / one[speed]:.2f} x" if same else ""
        lines.append(f"{name:38}{one[speed]:12,.1f}{seconds:10.3f}{gb:>8}{ratio:>9}")
        if one.get("bound"):
            share = one["read_per_second"] / one["bound"]
            lines.append(f"{'':38}{one['bound']:12,.1f} is the bound, {share:.0%} of it computed")
    return "\n".join(lines)

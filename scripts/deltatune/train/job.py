"""One training job, in one process or in each of several: load, train, and say what came out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from deltatune.models import device
from deltatune.models.load import load_base
from deltatune.tokens import shards
from deltatune.train import distributed, fsdp, train
from deltatune.train.checkpoints import Checkpoints


def run(
    job: dict[str, Any],
    *,
    progress: Callable[[str], None] = print,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train as `training.train` does: its losses (a list of rows) and figures, and the machine.

    job: seed, lora, training and quantization of the settings; base and revision, as the adapter
    names its base; model, the folder that it is loaded from; rows, split -> folder of shards;
    output, the adapter's folder; checkpoints, {"folder", "mark"} or None; scratch; plan or None.
    Several processes have been joined before, see `together`. Raises what training.train raises.
    """
    settings = job["training"]
    gpu = int(os.environ["LOCAL_RANK"]) if distributed.count() > 1 else 0
    machine = device.prepare(job["seed"], settings["threads"], settings["precision"], gpu)
    rows = {name: shards.read_shards(Path(folder)) for name, folder in job["rows"].items()}
    saved = None
    if job["checkpoints"] and distributed.rank() == 0:
        # Before the base is loaded: the process of an earlier run may still hold its memory.
        saved = Checkpoints(Path(job["checkpoints"]["folder"]), job["checkpoints"]["mark"], say)
        saved.open()
    if settings["sharded"]:
        with fsdp.quantized_on(machine.device):
            base = load_base(job["model"], job["quantization"], replace(machine, device="cpu"))
    else:
        base = load_base(job["model"], job["quantization"], machine)
    losses, figures = train.train(
        base,
        rows["train"],
        rows["validation"],
        lora=job["lora"],
        training=settings,
        seed=job["seed"],
        compute=machine,
        base=job["base"],
        revision=job["revision"],
        output=Path(job["output"]),
        scratch=Path(job["scratch"]),
        checkpoints=saved,
        plan=tuple(job["plan"]) if job.get("plan") else None,
        progress=progress,
        say=say,
    )
    return {
        "losses": losses.to_dict("records"),
        "figures": figures,
        "device": machine.device,
        "dtype": str(machine.dtype),
        "precision": machine.reason,
    }

"""One training job, in one process or in each of several: load, train, and return the figures."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from deltatune.core.errors import UserError
from deltatune.core.text import did_you_mean
from deltatune.models import device
from deltatune.models.batch import Batch
from deltatune.models.load import load_base
from deltatune.tokens import shards
from deltatune.train import distributed, train, upstream
from deltatune.train.checkpoints import Checkpoints


def run(
    job: dict[str, Any],
    *,
    progress: Callable[[str], None] = print,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train as `train.train` does: its losses (a list of rows) and figures, and the machine.

    job: seed, lora, training and quantization of the settings; base and revision, as the adapter
    names its base; model, the folder that it is loaded from; rows, split -> folder of shards;
    output, the adapter's folder; checkpoints, {"folder", "fingerprint"} or None; scratch; batch,
    the fields of `Batch`, or None.
    Several processes have been joined before, see `worker`. Raises what train.train raises, and
    UserError for an unknown optimizer.
    """
    settings = job["training"]
    require_optimizer(settings["optimizer"])
    gpu = int(os.environ["LOCAL_RANK"]) if distributed.world_size() > 1 else 0
    machine = device.prepare(job["seed"], settings["threads"], settings["precision"], gpu)
    rows = {name: shards.read_shards(Path(folder)) for name, folder in job["rows"].items()}
    checkpoints = None
    if job["checkpoints"] and distributed.rank() == 0:
        # Before the base is loaded: the process of an earlier run may still use its memory.
        folder, fingerprint = job["checkpoints"]["folder"], job["checkpoints"]["fingerprint"]
        checkpoints = Checkpoints(Path(folder), fingerprint, say)
        checkpoints.open()
    if settings["sharded"]:
        with upstream.quantized_on(machine.device):
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
        checkpoints=checkpoints,
        batch=Batch(**job["batch"]) if job.get("batch") else None,
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


def require_optimizer(name: str) -> None:
    """Raise UserError for an optimizer that transformers does not know.

    config.yaml is checked for it too, but only where transformers is installed beside snakemake.
    """
    from transformers.training_args import OptimizerNames

    names = sorted(optimizer.value for optimizer in OptimizerNames)
    if name not in names:
        raise UserError(
            f"training.optimizer: '{name}' is not an optimizer of transformers.Trainer"
            f"{did_you_mean(name, names)}; there are {', '.join(names)}"
        )

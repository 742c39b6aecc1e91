"""A model quantized with GPTQ (Frantar et al. 2022), calibrated on a task's training text."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any

import numpy as np

from deltatune.core.errors import UserError
from deltatune.models import upstream
from deltatune.models.device import Compute
from deltatune.models.gptq_settings import QuantizeSettings
from deltatune.models.quantization import require_gptq

# What is not the tokenizer's or the model card's: quantizing writes its own.
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json")


def calibration(rows: Any, samples: int, padding: int, seed: int) -> list[dict[str, list[int]]]:
    """At most `samples` packed rows, drawn at random, without the padding at their ends.

    rows: see `tokens.pack`. Returns {"input_ids", "attention_mask"} of each, in their order.
    """
    chosen = np.random.default_rng(seed).permutation(len(rows))[:samples]
    sequences = []
    for index in sorted(chosen.tolist()):
        ids = list(rows[index]["input_ids"])
        while ids and ids[-1] == padding:
            ids.pop()
        if ids:
            sequences.append({"input_ids": ids, "attention_mask": [1] * len(ids)})
    return sequences


def quantize(
    folder: Path,
    samples: list[dict[str, list[int]]],
    settings: QuantizeSettings,
    compute: Compute,
    output: Path,
) -> dict[str, Any]:
    """Quantize the linear layers of the model in `folder` and write it to `output`.

    samples: see `calibration`. The tokenizer is copied, so that `output` is a folder like any other
    model's, and the same input gives the same bytes. Returns facts for the manifest. Raises
    UserError where the packages are missing, or the groups do not divide the layers.
    """
    require_gptq()
    _require_quantizable(folder, settings)
    from gptqmodel import GPTQModel, QuantizeConfig

    folder, output = folder.resolve(), output.resolve()
    # gptqmodel leaves a log in the folder that it is run in.
    with tempfile.TemporaryDirectory() as scratch, chdir(scratch):
        config = QuantizeConfig(
            bits=settings.bits,
            group_size=settings.group_size,
            sym=True,
            desc_act=False,
            # The others compile C++ when they are first used.
            pack_impl="original",
            offload_to_disk_path=f"{scratch}/offload",
        )
        model = GPTQModel.load(
            str(folder),
            config,
            device=compute.device,
            dtype=compute.dtype,
            backend=upstream.GPTQ_BACKEND,
            trust_remote_code=False,
        )
        model.quantize(samples, batch_size=1)
        model.save(str(output))
    losses = _losses(output / "quant_log.csv")
    _clean(folder, output)
    return {
        "calibration_rows": len(samples),
        "calibration_tokens": sum(len(sample["input_ids"]) for sample in samples),
        "quantized_layers": len(losses),
        "mean_layer_loss": float(np.mean(losses)) if losses else None,
        "weight_bytes": sum(file.stat().st_size for file in output.glob("*.safetensors")),
    }


def _require_quantizable(folder: Path, settings: QuantizeSettings) -> None:
    """gptqmodel would stop with an error of its own, after minutes of loading."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    where = f"models.{settings.model}"
    if "quantization_config" in config:
        raise UserError(
            f"{where}: the model is quantized already; GPTQ needs one in 16 or 32 bits."
        )
    widths = [config[key] for key in ("hidden_size", "intermediate_size") if key in config]
    if any(width % max(settings.group_size, 32) for width in widths):
        raise UserError(
            f"{where}.gptq.group_size: {settings.group_size} does not divide the widths of the "
            f"layers, {' and '.join(map(str, widths))}, which must be multiples of 32 too."
        )


def _losses(log: Path) -> list[float]:
    """The remaining error of each layer's output, from gptqmodel's log."""
    if not log.is_file():
        return []
    losses = []
    with log.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            # A layer that saw too little text is rounded instead, and has a text there.
            with suppress(ValueError, TypeError):
                losses.append(float(row.get("loss")))
    return losses


def _clean(folder: Path, output: Path) -> None:
    """Remove what differs from run to run, and copy the tokenizer as it was."""
    (output / "quant_log.csv").unlink(missing_ok=True)
    for name in ("config.json", "quantize_config.json"):
        path = output / name
        content = json.loads(path.read_text(encoding="utf-8"))
        meta = content.get("quantization_config", content).get("meta", {})
        # A folder of the machine that quantized, with a random name.
        meta.pop("offload_to_disk_path", None)
        path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for file in sorted(folder.iterdir()):
        if not file.is_file() or any(file.match(pattern) for pattern in _WEIGHTS):
            continue
        shutil.copyfile(file, output / file.name)

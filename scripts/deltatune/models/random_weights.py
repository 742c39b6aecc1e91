"""A model of a given config with random weights, as a folder that loads like a published one.

Speed and memory do not depend on what the weights are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from deltatune.models.architecture import architecture

#: Bytes of one file: so much is in memory at a time.
SHARD = 1_000_000_000


def write(folder: Path, config: Mapping[str, Any], device: str, seed: int = 0) -> None:
    """Write weights in bf16, drawn on `device`, of the text model.

    config: of config.json, quantization left out.
    """
    fields = {key: value for key, value in config.items() if key != "quantization_config"}
    typed = architecture(fields).config
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(typed, trust_remote_code=False)
    generator = torch.Generator(device).manual_seed(seed)
    deviation = getattr(typed, "initializer_range", 0.02)
    folder.mkdir(parents=True, exist_ok=True)
    places: dict[str, str] = {}
    shard: dict[str, torch.Tensor] = {}
    total = 0

    def flush() -> None:
        file = f"model-{len(set(places.values())):05}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        places.update(dict.fromkeys(shard, file))
        shard.clear()

    saved = model.state_dict().keys()
    buffers = [(name, buffer) for name, buffer in model.named_buffers() if name in saved]
    for name, parameter in [*model.named_parameters(), *buffers]:
        if parameter.dim() < 2:
            value = torch.ones(parameter.shape, dtype=torch.bfloat16)
        else:
            value = torch.empty(parameter.shape, dtype=torch.bfloat16, device=device)
            value = value.normal_(0, deviation, generator=generator).cpu()
        shard[name] = value
        total += value.nbytes
        if sum(v.nbytes for v in shard.values()) >= SHARD:
            flush()
    if shard:
        flush()
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    typed.dtype = torch.bfloat16
    typed.architectures = [type(model).__name__]
    typed.save_pretrained(folder)

"""Checkpoints that are published quantized, by the `quantization_config` of their config.json.

They are used as what they are. Without tensors, so that the start of a run, `snakemake plan` and
the loading of a model refuse in the same words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deltatune.core.errors import UserError

AS_PUBLISHED = "as-published"
_NAMES = {"bitsandbytes": "bitsandbytes", "gptq": "GPTQ", "awq": "AWQ"}


def method(config: Mapping[str, Any]) -> str | None:
    """`quant_method` of a config.json; None where its weights are not quantized."""
    fields = config.get("quantization_config")
    if not isinstance(fields, Mapping):
        return None
    bitsandbytes = fields.get("load_in_4bit") or fields.get("load_in_8bit")
    return str(fields.get("quant_method") or ("bitsandbytes" if bitsandbytes else "unknown"))


def description(config: Mapping[str, Any]) -> str | None:
    """What the weights are, such as "bitsandbytes, 4 bits, nf4"; None where not quantized."""
    name = method(config)
    if name is None:
        return None
    fields = config["quantization_config"]
    four, eight = fields.get("load_in_4bit"), fields.get("load_in_8bit")
    bits = 4 if four else 8 if eight else fields.get("bits")
    kind = fields.get("bnb_4bit_quant_type") if four else None
    group = fields.get("group_size")
    parts = [
        _NAMES.get(name, name),
        f"{bits} bits" * bool(bits),
        str(kind or ""),
        f"groups of {group}" * bool(group),
    ]
    return ", ".join(filter(None, parts))


def equivalent(config: Mapping[str, Any], quantization: str) -> str:
    """The `quantization` that takes as much memory, where it is `as-published`."""
    if quantization != AS_PUBLISHED:
        return quantization
    if method(config) != "bitsandbytes":
        return "gptq"
    return "nf4" if config["quantization_config"].get("load_in_4bit") else "int8"


def problem(config: Mapping[str, Any], quantization: str, model: str) -> str | None:
    """Why weights cannot be loaded under a `quantization`; None where they can.

    model: what to call it, such as `models.NAME`.
    """
    name, what = method(config), description(config)
    if name is None:
        if quantization == AS_PUBLISHED:
            return (
                f"{AS_PUBLISHED} is for weights that are quantized already, and the config.json of "
                f"{model} has no quantization_config; write none, nf4 or int8"
            )
        return None
    if name not in _NAMES:
        return (
            f"{model} is published quantized ({what}), which cannot be tuned here; choose its "
            f"16-bit weights, or some of {', '.join(_NAMES.values())}"
        )
    form = config["quantization_config"].get("version") or "gemm"
    if name == "awq" and str(form).lower() != "gemm":
        return (
            f"{model} is published quantized ({what}) in the form '{form}', which has no gradient; "
            "choose one in the form 'gemm', or its 16-bit weights"
        )
    if quantization != AS_PUBLISHED:
        return (
            f"{model} is published quantized ({what}), and {quantization} would be something else; "
            f"write {AS_PUBLISHED}, or choose its 16-bit weights"
        )
    return None


def facts(folder: str | Path) -> dict[str, str]:
    """published_quantization, for the manifest; nothing of a model that is not quantized."""
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    what = description(config)
    return {"published_quantization": what} if what else {}


def check(config: Mapping[str, Any], quantization: str, model: str, where: str) -> None:
    """Raise UserError, naming the key `where`, for a `problem`."""
    if why := problem(config, quantization, model):
        raise UserError(f"{where}: {why}.")

"""The sizes of a model, from its config.json alone.

The model and its adapters are built on torch's meta device, where tensors have shapes and take no
memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from deltatune.core.errors import UserError
from deltatune.models.memory import Adapter, ModelDimensions, group_bytes

SECONDS = 5
"""How long the hub may take to answer."""

# ---------------------------------------------------------------- the model's config.json


def model_config(
    model: Mapping[str, Any], folder: Path, shipped: Path
) -> tuple[dict[str, Any], str, int | None]:
    """The config of a model, where it is from, and the exact bytes of the weights where known.

    model: its settings. folder: results/models/NAME/model, which may not be there. shipped: the
    folder with configs of public models, called OWNER--NAME.json.

    A model of the hub is looked for in `folder`, the hub's cache, the hub, and `shipped`.
    Raises UserError where a config is nowhere.
    """
    if model["source"] == "pretrain":
        shape = model["architecture"]
        return (
            {
                "model_type": "mistral",
                "vocab_size": shape["vocab_size"],
                "hidden_size": shape["hidden_size"],
                "intermediate_size": shape["intermediate_size"],
                "num_hidden_layers": shape["layers"],
                "num_attention_heads": shape["heads"],
                "num_key_value_heads": shape["kv_heads"],
                "max_position_embeddings": shape["context"],
                "dtype": "float32",
            },
            "config.yaml",
            0,
        )
    if model["source"] == "local":
        found = Path(model["path"])
        return _read(found / "config.json"), str(found), _weights(found)
    if (folder / "config.json").is_file():
        return _read(folder / "config.json"), "fetched", _weights(folder)
    id, revision = model["id"], model.get("revision")
    config = _cached(id, "config.json", revision)
    if config:
        index = _cached(id, _INDEX, revision)
        return _read(config), "the hub's cache", _total(_read(index) if index else None)
    fetched, problem = _fetched(id, "config.json", revision)
    if fetched:
        return fetched, "the hub", _total(_fetched(id, _INDEX, revision)[0])
    ours = shipped / f"{id.replace('/', '--')}.json"
    if ours.is_file():
        return _read(ours), "presets/configs", None
    raise UserError(
        f"models: the config.json of '{id}' is not here and cannot be fetched ({problem}). With a "
        f"network run it again; a gated model needs HF_TOKEN; or put the file into {ours}."
    )


_INDEX = "model.safetensors.index.json"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _weights(folder: Path) -> int | None:
    """Bytes of the weights in a folder."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors")) or None


def _total(index: Mapping[str, Any] | None) -> int | None:
    """Bytes of the weights by the index of their files."""
    return (index or {}).get("metadata", {}).get("total_size")


def _cached(id: str, file: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(id, file, revision=revision)
    return Path(found) if isinstance(found, str) else None


@cache
def _fetched(id: str, file: str, revision: str | None) -> tuple[dict[str, Any] | None, str]:
    """What a small JSON file of the hub says, or None and what went wrong.

    One request without the patience of a download, which would wait for half a minute where there
    is no network. The stored login, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE mean what they do
    everywhere.
    """
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    try:
        answer = get_session().get(
            hf_hub_url(id, file, revision=revision),
            headers=build_hf_headers(),
            timeout=SECONDS,
            follow_redirects=True,
        )
        if answer.status_code == 200:
            return answer.json(), ""
        return None, f"the hub answers {answer.status_code}"
    except Exception as error:  # whatever it is, the plan goes on with what is shipped
        return None, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:150]}"


# ---------------------------------------------------------------- sizes


def dimensions(config: Mapping[str, Any], lora: Mapping[str, Any], where: str) -> ModelDimensions:
    """Build the model and its adapters on the meta device and count.

    config: of config.json. lora: the fields of `settings.Lora`. where: the experiment in
    config.yaml, for messages. Raises UserError for an architecture that transformers does not know
    or targets that the model has not.
    """
    import torch
    from peft import get_peft_model
    from peft.tuners.lora import LoraLayer
    from transformers import AutoConfig, AutoModelForCausalLM

    from deltatune.train.lora import lora_config

    # Weights that lie quantized on the hub count as what they stand for.
    fields = {k: v for k, v in config.items() if k not in ("quantization_config", "auto_map")}
    try:
        typed = AutoConfig.for_model(**fields)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(typed, trust_remote_code=False)
    except (ValueError, KeyError) as error:
        raise UserError(f"{where}.model: transformers cannot build it: {error}") from None
    head = model.get_output_embeddings()
    linear = [
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    ]
    parameters = sum(p.numel() for p in model.parameters())
    try:
        with torch.device("meta"):
            model = get_peft_model(model, lora_config(dict(lora), None))
    except ValueError as error:
        raise UserError(f"{where}.lora: peft refuses these settings: {error}") from None
    adapters = tuple(
        Adapter(name.rpartition(".")[2], _block(name), module.in_features, rank)
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer)
        for rank in module.r.values()
    )
    heads = typed.num_attention_heads
    return ModelDimensions(
        kind=typed.model_type,
        parameters=parameters,
        linear=sum(linear),
        largest_linear=max(linear, default=0),
        trainable=sum(p.numel() for p in model.parameters() if p.requires_grad),
        blocks=typed.num_hidden_layers,
        hidden=typed.hidden_size,
        intermediate=getattr(typed, "intermediate_size", None) or 4 * typed.hidden_size,
        heads=heads,
        head_dim=getattr(typed, "head_dim", None) or typed.hidden_size // heads,
        vocabulary=typed.vocab_size,
        adapters=adapters,
    )


def _block(name: str) -> int:
    found = re.search(r"\.(\d+)\.", name)
    return int(found[1]) if found else 0


def download_bytes(config: Mapping[str, Any], sizes: ModelDimensions) -> int:
    """Bytes of the weights on the hub, from the type that they are stored in."""
    stored = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    each = {"float64": 8, "float32": 4, "float8_e4m3fn": 1}.get(stored.removeprefix("torch."), 2)
    quantized = config.get("quantization_config") or {}
    bits = quantized.get("bits") or (4 if quantized.get("load_in_4bit") else 0)
    if not bits:
        return sizes.parameters * each
    held = sizes.linear * group_bytes(bits, quantized.get("group_size", 128))
    return round(held + (sizes.parameters - sizes.linear) * each)

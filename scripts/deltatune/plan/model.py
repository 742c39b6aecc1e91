"""The config.json of a model, wherever it is, and the size of its download."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from deltatune.config.model import AnyModel, LocalModel, PretrainModel
from deltatune.core.errors import UserError
from deltatune.models.dimensions import ModelDimensions
from deltatune.models.memory import group_bytes

TIMEOUT = 5
"""Seconds that the hub may take to answer."""


def model_config(
    model: AnyModel, folder: Path, shipped: Path
) -> tuple[dict[str, Any], str, int | None]:
    """The config of a model, where it is from, and the exact bytes of the weights where known.

    folder: results/models/NAME/model, which may not be there. shipped: the
    folder with configs of public models, called OWNER--NAME.json.

    A model of the hub is searched in `folder`, the hub's cache, the hub, and `shipped`.
    Raises UserError where a config is nowhere.
    """
    if isinstance(model, PretrainModel):
        shape = model.architecture
        return (
            {
                "model_type": "mistral",
                "vocab_size": shape.vocab_size,
                "hidden_size": shape.hidden_size,
                "intermediate_size": shape.intermediate_size,
                "num_hidden_layers": shape.layers,
                "num_attention_heads": shape.heads,
                "num_key_value_heads": shape.kv_heads,
                "max_position_embeddings": shape.context,
                "dtype": "float32",
            },
            "config.yaml",
            0,
        )
    if isinstance(model, LocalModel):
        local = Path(model.path)
        return _read(local / "config.json"), str(local), _weights(local)
    if (folder / "config.json").is_file():
        return _read(folder / "config.json"), "fetched", _weights(folder)
    id, revision = model.id, model.revision
    config = _cached(id, "config.json", revision)
    if config:
        index = _cached(id, _INDEX, revision)
        return _read(config), "the hub's cache", _total(_read(index) if index else None)
    fetched, problem = _fetch(id, "config.json", revision)
    if fetched:
        return fetched, "the hub", _total(_fetch(id, _INDEX, revision)[0])
    preset = shipped / f"{id.replace('/', '--')}.json"
    if preset.is_file():
        return _read(preset), "presets/configs", None
    raise UserError(
        f"models: the config.json of '{id}' is not here and cannot be fetched ({problem}). With a "
        f"network run it again; a gated model needs HF_TOKEN; or put the file into {preset}."
    )


def tokenizer_folder(model: AnyModel, folder: Path, origin: str) -> Path | None:
    """Where the tokenizer of a model is; None where it is not available, or not made yet.

    folder, origin: as for `model_config`, and as it returned. Where that asked the hub, the
    tokenizer's files are fetched into the hub's cache, where the run finds them.
    """
    if isinstance(model, PretrainModel):
        return None
    if isinstance(model, LocalModel):
        places = [Path(model.path)]
    else:
        cached = _cached(model.id, "tokenizer.json", model.revision)
        if cached is None and origin == "the hub":
            cached = _download(
                model.id, ("tokenizer_config.json", "tokenizer.json"), model.revision
            )
        places = [folder, *([cached.parent] if cached else [])]
    return next((place for place in places if (place / "tokenizer.json").is_file()), None)


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

    path = try_to_load_from_cache(id, file, revision=revision)
    return Path(path) if isinstance(path, str) else None


def _download(id: str, names: tuple[str, ...], revision: str | None) -> Path | None:
    """The last of some small files of the hub; None where one is not available."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    try:
        paths = [
            hf_hub_download(id, name, revision=revision, etag_timeout=TIMEOUT) for name in names
        ]
    except Exception:  # the run fetches it, and says what is wrong
        return None
    return Path(paths[-1])


@cache
def _fetch(id: str, file: str, revision: str | None) -> tuple[dict[str, Any] | None, str]:
    """The content of a small JSON file of the hub, or None and what went wrong.

    One request without the retries of a download, which would wait for half a minute where there
    is no network. The stored login, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE mean what they do
    everywhere.
    """
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    try:
        response = get_session().get(
            hf_hub_url(id, file, revision=revision),
            headers=build_hf_headers(),
            timeout=TIMEOUT,
            follow_redirects=True,
        )
        if response.status_code == 200:
            return response.json(), ""
        return None, f"the hub answers {response.status_code}"
    except Exception as error:  # whatever it is, the shipped config is tried next
        return None, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:150]}"


def download_bytes(config: Mapping[str, Any], sizes: ModelDimensions) -> int:
    """Bytes of the weights on the hub, from the type that they are stored in."""
    stored = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    each = {"float64": 8, "float32": 4, "float8_e4m3fn": 1}.get(stored.removeprefix("torch."), 2)
    quantized = config.get("quantization_config") or {}
    bits = quantized.get("bits") or (4 if quantized.get("load_in_4bit") else 0)
    if not bits:
        return sizes.parameters * each
    linear = sizes.linear * group_bytes(bits, quantized.get("group_size", 128))
    return round(linear + (sizes.parameters - sizes.linear) * each)

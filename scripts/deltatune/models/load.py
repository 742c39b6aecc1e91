"""Bases and tuned systems, loaded from folders. Safetensors only, no code from a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import transformers
from safetensors import SafetensorError, safe_open

from deltatune.core.errors import UserError
from deltatune.models import probes, published, upstream
from deltatune.models.architecture import TEXT_PART, of_folder
from deltatune.models.device import Compute
from deltatune.models.quantization import (
    disable_fused_kernels,
    layers,
    load_arguments,
    require_gptq,
    require_quantized,
)
from deltatune.tokens import context

#: Packages whose versions stand in the manifest; what is not installed is left out.
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "gptqmodel", "optimum", "vllm")


def load_base(
    folder: str | Path,
    quantization: str,
    compute: Compute,
    where: str = "quantization",
) -> transformers.PreTrainedModel:
    """The untuned model, quantized, on its device, in evaluation mode.

    The key-value cache is off: with it on, packed documents see each other. The model's own
    generation_config is left out: published models bring sampling and repetition penalties, which
    would go on working under greedy decoding. Of a multimodal model the text part is loaded.

    folder: below results/models/NAME, for messages. where: key of the quantization in config.yaml.
    Raises UserError for what cannot be tuned or evaluated, see `probes.require`, for weights that
    are damaged or missing, and where the quantization takes no layer or the model cannot compute
    with it.
    """
    model_where = f"models.{context.model_name(folder)}"
    architecture = of_folder(folder, model_where)
    probes.require(architecture, model_where)
    arguments = _arguments(folder, quantization, compute, where)
    if architecture.part:
        arguments["key_mapping"] = TEXT_PART
    try:
        if architecture.part and architecture.tied and not _has_output_layer(folder):
            architecture.config.tie_word_embeddings = True
        model, loaded = transformers.AutoModelForCausalLM.from_pretrained(
            str(folder),
            use_safetensors=True,
            trust_remote_code=False,
            config=architecture.config,
            attn_implementation=architecture.attention,
            output_loading_info=True,
            **arguments,
        )
    except SafetensorError as error:
        raise UserError(
            f"The weights in {folder} cannot be read as safetensors: {error}. Fetch or save the "
            "model again."
        ) from None
    if architecture.part:
        upstream.forget_renaming(model)
    if missing := sorted(loaded["missing_keys"]):
        raise UserError(
            f"The weights in {folder} lack {missing[0]}"
            + f" and {len(missing) - 1} others" * (len(missing) > 1)
            + f", which {architecture.name} has. Fetch or save the model again."
        )
    require_quantized(layers(model), quantization, architecture.name, where)
    disable_fused_kernels(model)
    model.config.use_cache = False
    model.generation_config = transformers.GenerationConfig()
    model.eval()
    if quantization in ("nf4", "int8"):
        probes.require_forward(model, quantization, architecture.name, where)
    probes.require(architecture, model_where, model)
    return model


def _has_output_layer(folder: str | Path) -> bool:
    for file in Path(folder).glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            if any(name.endswith("lm_head.weight") for name in weights.keys()):  # noqa: SIM118
                return True
    return False


def _arguments(
    folder: str | Path, quantization: str, compute: Compute, where: str
) -> dict[str, Any]:
    """Those of `load_arguments`. Raises UserError for weights that are published quantized, unless
    they are taken as that."""
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    if quantization == "gptq":  # made here, see `gptq`
        return load_arguments(quantization, compute)
    published.check(config, quantization, f"models.{context.model_name(folder)}", where)
    if quantization != published.AS_PUBLISHED:
        return load_arguments(quantization, compute)
    method = published.method(config)
    if method != "bitsandbytes":
        require_gptq(published.description(config))
    return load_arguments("none" if method == "bitsandbytes" else method, compute)


def load_system(
    folder: str | Path, quantization: str, compute: Compute, adapter: str | Path | None = None
) -> transformers.PreTrainedModel:
    """A base, or a tuned system where an adapter folder is given, ready to be evaluated."""
    return with_adapter(load_base(folder, quantization, compute), adapter)


def with_adapter(
    model: transformers.PreTrainedModel, adapter: str | Path | None
) -> transformers.PreTrainedModel:
    """A base with the adapter of a folder beside its weights; without one, the base."""
    if adapter is None:
        return model
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(adapter), is_trainable=False).eval()

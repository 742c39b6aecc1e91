"""Bases and tuned systems, loaded from folders. Safetensors only, no code from a model."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from deltatune.compute import Compute
from deltatune.quantisation import load_arguments, use_plain_products


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model's folder, no code from it run."""
    if _is_sentencepiece_of_llama(Path(folder)):
        return LlamaTokenizer.from_pretrained(str(folder))
    return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)


def _is_sentencepiece_of_llama(folder: Path) -> bool:
    """Whether there is only a tokenizer.model, for the class that puts a space before a text.

    AutoTokenizer in transformers 5.23 reads such a file by another class where config.json says
    `mistral`, and without that space every document begins with other pieces than the model knows.
    """
    try:
        about = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except OSError:
        return False
    named = str(about.get("tokenizer_class")).removesuffix("Fast") == "LlamaTokenizer"
    return named and not (folder / "tokenizer.json").is_file()


def load_base(folder: str | Path, quantisation: str, compute: Compute) -> PreTrainedModel:
    """The untuned model, quantised, on its device, in evaluation mode.

    The key-value cache is off: with it on, packed documents see each other. The model's own
    generation_config is left out: published models bring sampling and repetition penalties, which
    would go on working behind greedy decoding.
    """
    model = AutoModelForCausalLM.from_pretrained(
        str(folder),
        use_safetensors=True,
        trust_remote_code=False,
        attn_implementation="sdpa",
        **load_arguments(quantisation, compute),
    )
    use_plain_products(model)
    model.config.use_cache = False
    model.generation_config = GenerationConfig()
    return model.eval()


def load_system(
    folder: str | Path, quantisation: str, compute: Compute, adapter: str | Path | None = None
) -> PreTrainedModel:
    """A base, or a tuned system where an adapter folder is given, ready to be evaluated."""
    model = load_base(folder, quantisation, compute)
    if adapter is None:
        return model
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(adapter), is_trainable=False).eval()

"""A tokenizer and models so small that a test can make them, run them and train them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from deltatune.models.pretrain import train_tokenizer
from peft import LoraConfig, get_peft_model
from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

torch.set_num_threads(1)

TEXTS = [
    "The old bridge was closed because the river had risen in the night.",
    "She wrote three letters to her sister and sent none of them.",
    "Prices fell for the third month, said the ministry on Monday.",
    "Name a river. The Danube flows into the Black Sea, 2850 kilometers from its spring.",
    "A lantern, a ladder and a locked door: that was all he would speak of afterwards.",
]


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with bos, eos and unk for padding."""
    return train_tokenizer(TEXTS, 400)


@cache
def without_bos(**names: str) -> PreTrainedTokenizerFast:
    """The same pieces, and nothing before a document, as with the tokenizers of GPT-2 or Qwen."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer().backend_tokenizer,
        unk_token="<unk>",
        eos_token="</s>",
        pad_token="<unk>",
        add_bos_token=False,
        **names,
    )


def naming_bos() -> PreTrainedTokenizerFast:
    """One that names a bos and does not put it before a document, as that of SmolLM2."""
    return without_bos(bos_token="<s>")


def model(seed: int = 0, spread: float = 0.3, **changes) -> MistralForCausalLM:
    """A random Mistral in fp32, in evaluation mode. spread: of its weights; wide enough that no
    two tokens are as likely as each other."""
    torch.manual_seed(seed)
    shape = {
        "vocab_size": len(tokenizer()),
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "sliding_window": None,
        "initializer_range": spread,
        "bos_token_id": tokenizer().bos_token_id,
        "eos_token_id": tokenizer().eos_token_id,
        "pad_token_id": tokenizer().pad_token_id,
    }
    return MistralForCausalLM(MistralConfig(**shape | changes)).eval()


def saved(folder: Path, **changes) -> Path:
    """A model and its tokenizer as a Hugging Face folder."""
    model(**changes).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def adapter(folder: Path, base: Path, scale: float = 0.1, **lora) -> Path:
    """A LoRA adapter that changes what the base says; seeded."""
    torch.manual_seed(1)
    fields = {"task_type": "CAUSAL_LM", "r": 4, "target_modules": "all-linear"} | lora
    model = get_peft_model(MistralForCausalLM.from_pretrained(base), LoraConfig(**fields))
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data.normal_(0, scale)
        elif weight.requires_grad:  # a copy of the whole layer
            weight.data += torch.empty_like(weight).normal_(0, scale)
    model.save_pretrained(folder)
    return folder


@torch.inference_mode()
def log_probabilities(model, ids: list[int]) -> torch.Tensor:
    """What a plain forward pass over one row gives each next token: [tokens - 1, vocabulary]."""
    logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, :-1]
    return logits.double().log_softmax(-1)

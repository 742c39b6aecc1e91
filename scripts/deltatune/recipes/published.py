"""What is known of the published recipes that the presets follow: every hyper-parameter, as stated.

A value is written as `here.value` writes that of a preset, so that equal ones are equal texts. What
no source states is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Theirs:
    """A value as it was published."""

    value: str
    differs: str = ""
    """Words of the sentence in `published.differs` that tells how a preset differs; "" where it has
    the same value."""


@dataclass(frozen=True)
class Recipe:
    title: str
    source: str
    """Where it was published, and what the values are taken from."""
    url: str = ""
    """"" where its page is not known."""
    values: dict[str, Theirs] = field(default_factory=dict)
    """Hyper-parameter, a key of `here.PARAMETERS` -> its value."""


def _same(**values: str) -> dict[str, Theirs]:
    return {name: Theirs(value) for name, value in values.items()}


_DEFAULTS = _same(
    schedule="linear", warmup="none", weight_decay="0", max_grad_norm="1", gradient_accumulation="1"
)
"""Of the Trainer of transformers, where a notebook leaves them alone."""
_SEED = Theirs("42", "no seed draws the same")

RECIPES = {
    "alpaca-mistral-7b": Recipe(
        "S1. Mistral-7B in GPTQ on Stanford Alpaca",
        "A notebook project whose page is not known; the values are those that were noted of it.",
        values=_same(
            model="mistralai/Mistral-7B-v0.1",
            data="tatsu-lab/alpaca",
            train="the first 1000",
            prompt="template alpaca",
            quantization="gptq, 4 bits",
            rank="8",
            alpha="16",
            dropout="0.05",
            targets="q_proj, v_proj",
            epochs="1",
        )
        | {
            "test": Theirs("100", "Which 100 rows"),
            "validation": Theirs("none", "the validation set"),
        },
    ),
    "alpaca-cleaned-mistral-7b-instruct": Recipe(
        "S2. Mistral-7B-Instruct on Alpaca Cleaned",
        "A notebook project whose page is not known; the values are those that were noted of it.",
        values=_same(
            data="yahma/alpaca-cleaned",
            prompt="the model's chat template, without a system prompt",
        )
        | {
            "model": Theirs("mistralai/Mistral-7B-Instruct", "Which version"),
            "quantization": Theirs("4 bits", "which 4-bit format"),
            "batch_size": Theirs("small", "the batch size is 1"),
            "gradient_accumulation": Theirs("more than the batch size", "gradient accumulation"),
            "decoding": Theirs("answers were read, not scored", "not scored"),
        },
    ),
    "frankenstein-mistral-7b": Recipe(
        "S3. Mistral-7B in NF4 on Frankenstein",
        "FineTuning_Mistral_7B_using_QLoRA.ipynb at commit 9cba41c353a7; what it leaves to a "
        "library is that library's default.",
        "https://github.com/Rakshith-rak69/Finetuning-Mistral7B-QLoRA",
        _DEFAULTS
        | _same(
            model="mistralai/Mistral-7B-v0.1",
            data="frankenstein_chunks.csv",
            train="all others",
            test="20%, drawn at random",
            prompt="none",
            loss="all of the text",
            packing="no",
            rank="32",
            alpha="64",
            dropout="0.05",
            targets="q_proj, v_proj",
            bias="none",
            epochs="2",
            learning_rate="2e-05",
            batch_size="2",
            optimizer="paged_adamw_8bit",
            precision="fp16",
            checkpointing="yes",
            decoding="greedy, 100 tokens",
        )
        | {
            "validation": Theirs("none", "validation set"),
            "max_length": Theirs("the model's context", "No chunk is longer"),
            "quantization": Theirs("nf4, computed in bf16", "computed with in bf16"),
            "warmup": Theirs("2 steps", "two steps"),
            "seed": _SEED,
        },
    ),
    "ag-news-mistral-7b": Recipe(
        "S4. Mistral-7B in NF4 on AG News",
        "llm_filetuning/README.md, and where that is silent LLM_TUNING_20251005_FINAL.ipynb, at "
        "commit 3fda2138099f.",
        "https://github.com/subranshu-p/genai",
        _DEFAULTS
        | _same(
            model="mistralai/Mistral-7B-v0.1",
            data="fancyzhx/ag_news",
            train="7680",
            validation="1500",
            loss="all of the text",
            packing="no",
            max_length="512",
            rank="8",
            alpha="16",
            dropout="0.05",
            targets="q_proj, v_proj",
            bias="none",
            learning_rate="5e-05",
            batch_size="2",
            gradient_accumulation="4",
            optimizer="adamw_torch",
            weight_decay="0.01",
            checkpointing="yes",
        )
        | {
            "test": Theirs("2,000 of the training split, 50 of them judged", "official test split"),
            "prompt": Theirs("its own, a line break and the label", "a line break there"),
            "quantization": Theirs("nf4, not quantized twice, computed in fp16", "quantized twice"),
            "epochs": Theirs("3 to 5; the notebook 2", "two epochs"),
            "precision": Theirs("fp32 beside the 4-bit weights", "they compute in fp32"),
            "seed": _SEED,
            "decoding": Theirs("greedy, 6 tokens, searched for a label", "generated six tokens"),
        },
    ),
    "alpaca-zephyr-7b": Recipe(
        "S5. zephyr-7b-beta in NF4 on Stanford Alpaca",
        "zephyr-7b-beta/FineTuning-Mistral-7B-README.md, and where that is silent "
        "zephyr-7b-beta.ipynb, at commit e477a2f9f5e6.",
        "https://github.com/EyadAlN3imi/NLP",
        _DEFAULTS
        | _same(
            model="HuggingFaceH4/zephyr-7b-beta",
            data="tatsu-lab/alpaca",
            loss="all of the text",
            packing="no",
            max_length="1024",
            quantization="nf4",
            rank="8",
            alpha="32",
            dropout="0.05",
            targets="q_proj, k_proj, v_proj, o_proj",
            bias="lora_only",
            epochs="1",
            learning_rate="0.0002",
            batch_size="4",
            gradient_accumulation="2",
            optimizer="paged_adamw_32bit",
            precision="fp16",
            checkpointing="yes",
        )
        | {
            "train": Theirs("850, drawn from the first 1,000", "drawn from the first 1,000"),
            "test": Theirs("150, drawn from the first 1,000", "drawn from the first 1,000"),
            "validation": Theirs("none", "validation set"),
            "prompt": Theirs(
                "a chat template of its own, with another system prompt in the notebook, and the "
                "input alone as the user's turn",
                "the input alone",
            ),
            "seed": _SEED,
            "decoding": Theirs("greedy, 50 tokens before and 60 after", "50 tokens"),
        },
    ),
}
"""Preset -> the recipe that it follows."""

"""Tokenizers from a model's folder. Apart from `models`, which takes seconds to import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deltatune.core.errors import UserError


def load_tokenizer(folder: str | Path) -> Any:
    """The tokenizer of a model's folder, no code from it run."""
    from transformers import AutoTokenizer, LlamaTokenizer

    if _is_sentencepiece_of_llama(Path(folder)):
        return LlamaTokenizer.from_pretrained(str(folder))
    try:
        return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise UserError(
            f"The tokenizer in {folder} is made by code of its own, and code from a model is not "
            "run. Choose another model, or save its tokenizer as a tokenizer.json."
        ) from None


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

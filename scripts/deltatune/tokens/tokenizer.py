"""Tokenizers from a model's folder. Apart from `models`, which takes seconds to import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deltatune.core.errors import UserError
from deltatune.tokens.upstream import is_llama_sentencepiece, needs_remote_code


def load_tokenizer(folder: str | Path) -> Any:
    """The tokenizer of a model's folder, no code from it run."""
    from transformers import AutoTokenizer, LlamaTokenizer

    if is_llama_sentencepiece(Path(folder)):
        return LlamaTokenizer.from_pretrained(str(folder))
    try:
        return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except ValueError as error:
        if not needs_remote_code(error):
            raise
        raise UserError(
            f"The tokenizer in {folder} needs custom code, and code from a model repository is "
            "never run. Choose another model, or save its tokenizer as a tokenizer.json."
        ) from None

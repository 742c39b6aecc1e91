"""Behavior of transformers that reading tokenizers works around, with the version that it was seen
in. A test of tests/unit/test_tokens_upstream.py fails when one can go."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from deltatune.core.upstream import hidden


def leave_out_torch() -> None:
    """Load what reads tokenizers without torch, for a process that computes nothing with it.

    transformers 5.23 imports torch with any tokenizer wherever it is installed, a second of each
    job; without it the tokenizers are the same. It has no setting for that, and remembers that it
    has not found it: no model can be loaded in this process any more.
    """
    # Or it would say in the log that there is no torch.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    with hidden("torch"):
        from transformers import AutoTokenizer, LlamaTokenizer  # noqa: F401


def is_llama_sentencepiece(folder: Path) -> bool:
    """Whether there is only a tokenizer.model, for the class that puts a space before a text.

    AutoTokenizer in transformers 5.23 reads such a file by another class where config.json says
    `mistral`, and without that space every document begins with other pieces than the model knows.
    No issue of it is known.
    """
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except OSError:
        return False
    name = str(config.get("tokenizer_class")).removesuffix("Fast")
    return name == "LlamaTokenizer" and not (folder / "tokenizer.json").is_file()


def needs_remote_code(error: ValueError) -> bool:
    """Whether a tokenizer was refused since it is made by code of its own.

    transformers 5.23 raises a ValueError for that as for anything else, and only its text tells.
    """
    return "trust_remote_code" in str(error)


def is_plain_backend(tokenizer: Any) -> bool:
    """Whether all that a tokenizer does with a text is done by `tokenizers`, and can be asked of
    `backend_tokenizer` without what transformers 5.23 does around each text: half of the time."""
    from transformers import PreTrainedTokenizerFast

    names = ("__call__", "_encode_plus", "_switch_to_input_mode")
    return isinstance(tokenizer, PreTrainedTokenizerFast) and all(
        getattr(type(tokenizer), name, None) is getattr(PreTrainedTokenizerFast, name, None)
        for name in names
    )


def tokenizer_steps(tokenizer: Any) -> tuple[dict[str, Any] | None, list[dict[str, Any]], Any]:
    """(the normalizer, the steps of the pre-tokenizer, the dropout of the model) of a fast
    tokenizer, as they stand in tokenizer.json.

    tokenizers 0.23 gives them by name only for all of the file, vocabulary included, a second of
    time for 128,000 tokens; pickle asks its parts for the same.
    """
    backend = tokenizer.backend_tokenizer
    normalizer, cutting = (
        json.loads(part.__getstate__()) if part is not None else None
        for part in (backend.normalizer, backend.pre_tokenizer)
    )
    steps = (cutting or {}).get("pretokenizers", [cutting] if cutting else [])
    return normalizer, steps, getattr(backend.model, "dropout", None)


def template_environment(template: str) -> Any:
    """The environment in which `apply_chat_template` renders a template.

    transformers 5.23 has no public way to it, nor one that says where a message stands in the
    text unless the template has generation marks; no issue of it is known.
    """
    from transformers.utils.chat_template_utils import _compile_jinja_template

    return _compile_jinja_template(template).environment

"""What a model can read at once, and the settings that ask for more.

By config.json alone and without tensors, so that `snakemake plan`, the start of a run and its jobs
refuse in the same words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deltatune.core.errors import UserError


def context_length(config: Mapping[str, Any]) -> int | None:
    """Tokens that a model can read at once; None where nothing sets a limit, as with ALiBi or a
    recurrent state.

    config: of config.json, also of a multimodal model, whose text part is meant.
    """
    config = config.get("text_config") or config
    if config.get("alibi"):
        return None
    positions = config.get("max_position_embeddings") or config.get("n_positions")
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    original, factor = scaling.get("original_max_position_embeddings"), scaling.get("factor")
    if positions and original and factor:
        # Some configs give the length before the rotary positions are stretched.
        return max(positions, round(original * factor))
    return positions


def problems(
    context: int | None,
    model: str,
    task: str,
    *,
    max_length: int = 0,
    window: int = 0,
    max_new_tokens: int = 0,
) -> Iterator[tuple[str, str]]:
    """(key in config.yaml, what is wrong) of each setting of a task that asks a model for more.

    A model with learned positions would end in an IndexError, and one with rotary positions would
    train and answer far from all that it has seen. window: `evaluation.context`.
    """
    if context is None:
        return
    for key, length in (("max_length", max_length), ("evaluation.context", window)):
        if length > context:
            yield (
                f"tasks.{task}.{key}",
                f"{length} is more than the context of models.{model} ({context})",
            )
    if max_new_tokens > context - 2:
        yield (
            f"tasks.{task}.evaluation.max_new_tokens",
            f"{max_new_tokens} leaves no room for a prompt in the context of models.{model} "
            f"({context})",
        )


def check(config: Mapping[str, Any], model: str, task: str, **asked: int) -> None:
    """Raise UserError with all problems. asked: as in `problems`."""
    wrong = problems(context_length(config), model, task, **asked)
    if lines := [f"{key}: {text}" for key, text in wrong]:
        raise UserError("\n".join(lines))


def check_folder(folder: str | Path, task: str, **asked: int) -> None:
    """The same of a folder below results/models/NAME."""
    check(read_config(Path(folder)), model_name(folder), task, **asked)


def model_name(folder: str | Path) -> str:
    """NAME of a folder below results/models/NAME; of another folder its own."""
    folder = Path(folder)
    # A base that was quantized here lies a folder deeper.
    return next((p.name for p in folder.parents if p.parent.name == "models"), folder.name)


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a model's folder."""
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))

"""The files of a model that somebody else made: what may be in them, and where they lie."""

from __future__ import annotations

import json
from pathlib import Path

from deltatune.errors import UserError

WANTED = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja")


def link(source: Path, target: Path, where: str) -> dict:
    """Fill the folder `target` with links to the files of a local model.

    Only weights as safetensors are taken: a pickle can run any code when it is loaded.
    Returns facts for the manifest. Raises UserError naming `where` if something is missing.
    """
    weights = sorted(source.glob("*.safetensors"))
    if not weights:
        pickles = [*source.glob("*.bin"), *source.glob("*.pt"), *source.glob("*.pth")]
        found = (
            f"only {pickles[0].name}, which can run code when it is loaded" if pickles else "none"
        )
        raise UserError(
            f"{where}: '{source}' must hold the weights as .safetensors, but there is {found}. "
            "Save the model again with safe_serialization=True."
        )
    if not any((source / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        raise UserError(
            f"{where}: '{source}' has no tokenizer.json or tokenizer.model; save the tokenizer "
            "into the same folder with tokenizer.save_pretrained."
        )
    if (source / "adapter_config.json").is_file():
        raise UserError(
            f"{where}: '{source}' holds an adapter, which would be loaded with its base as if both "
            "were the base. Give the folder of the base, or merge the adapter into it."
        )
    try:
        config = json.loads((source / "config.json").read_text(encoding="utf-8"))
        architecture = (config.get("architectures") or ["unknown"])[0]
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"{where}: config.json in '{source}' cannot be read ({error}); give the folder that "
            "save_pretrained wrote."
        ) from None
    target.mkdir(parents=True)
    for pattern in WANTED:
        for file in sorted(source.glob(pattern)):
            (target / file.name).symlink_to(file.resolve())
    return {
        "architecture": architecture,
        "weight_bytes": sum(file.stat().st_size for file in weights),
    }

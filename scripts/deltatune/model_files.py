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
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    target.mkdir(parents=True)
    for pattern in WANTED:
        for file in sorted(source.glob(pattern)):
            (target / file.name).symlink_to(file.resolve())
    return {
        "architecture": (config.get("architectures") or ["unknown"])[0],
        "weight_bytes": sum(file.stat().st_size for file in weights),
    }

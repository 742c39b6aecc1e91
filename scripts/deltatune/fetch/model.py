"""The files of a model that somebody else made: what may be in them, and where they are."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deltatune.core.errors import UserError
from deltatune.fetch.model_settings import HubRepository, LocalFolder, ModelSettings

BESIDE = ("*.json", "*.model", "*.txt", "*.jinja")
"""What is taken beside the weights: configuration, tokenizer, chat template."""
TEMPLATE = "chat_template.jinja"
"""Goes before the template in tokenizer_config.json."""
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")


def fetch(
    settings: ModelSettings,
    target: Path,
    progress: Callable[[str], None],
    check: Callable[[Path], None] = lambda folder: None,
) -> dict:
    """Fill the folder `target` with links to the files of a model, from where its source says.

    check: raises UserError for a model that cannot be used, by the config.json in a folder; it is
    called before weights are fetched. Returns facts for the manifest. Raises UserError that says
    what to do.
    """
    where, source = f"models.{settings.model}", settings.source
    if isinstance(source, LocalFolder):
        facts = link(Path(source.path), target, f"{where}.path")
        check(target)
    else:
        facts = _from_hub(source, target, where, progress, check)
    if source.chat_template is not None:
        own = target / TEMPLATE
        own.unlink(missing_ok=True)
        own.write_text(source.chat_template, encoding="utf-8")
    return facts


def _from_hub(
    source: HubRepository,
    target: Path,
    where: str,
    progress: Callable[[str], None],
    check: Callable[[Path], None],
) -> dict:
    from deltatune.fetch import hub

    def wanted(names: list[str]) -> list[str]:
        return choose(names, source.id, f"{where}.id")

    folder, facts = hub.model(source.id, source.revision, wanted, check, where, progress)
    return facts | link(folder, target, f"{where}.id")


def choose(names: list[str], source: str, where: str) -> list[str]:
    """Which of a model's files are taken; never one that can run code when it is loaded.

    Where the weights are there twice, as with Mistral's own `consolidated.safetensors`, those that
    transformers reads. Raises UserError naming `where` if something is missing.
    """
    weights = fnmatch.filter(names, "*.safetensors")
    if not weights:
        pickles = [name for name in names if name.endswith(_PICKLES)]
        instead = f"only {pickles[0]}, which can run code when it is loaded" if pickles else "none"
        raise UserError(
            f"{where}: '{source}' must hold the weights as .safetensors, but there is {instead}. "
            "Save the model again with safe_serialization=True."
        )
    if not {"tokenizer.json", "tokenizer.model"} & set(names):
        raise UserError(
            f"{where}: '{source}' has no tokenizer.json or tokenizer.model; save the tokenizer "
            "into the same folder with tokenizer.save_pretrained."
        )
    if "adapter_config.json" in names:
        raise UserError(
            f"{where}: '{source}' holds an adapter, which would be loaded with its base as if both "
            "were the base. Give the folder of the base, or merge the adapter into it."
        )
    return taken(names)


def taken(names: list[str]) -> list[str]:
    """Those of a model's files that are read, whether or not they are all that is needed."""
    names = [name for name in names if not name.startswith(".")]
    weights = fnmatch.filter(names, "*.safetensors")
    weights = [name for name in weights if _WEIGHTS.fullmatch(name)] or weights
    rest = {name for pattern in BESIDE for name in fnmatch.filter(names, pattern)}
    return sorted({*weights, *rest})


def link(source: Path, target: Path, where: str) -> dict:
    """Fill the folder `target` with links to the files of a local model.

    Returns facts for the manifest. Raises UserError naming `where` if something is missing.
    """
    try:
        present = sorted(file.name for file in source.iterdir())
    except OSError as error:
        raise UserError(f"{where}: '{source}' cannot be read: {error.strerror}") from None
    names = choose(present, str(source), where)
    for name in names:
        if not (source / name).is_file():
            raise UserError(f"{where}: '{name}' in '{source}' is not a file, or a broken link")
    try:
        config = json.loads((source / "config.json").read_text(encoding="utf-8"))
        architecture = (config.get("architectures") or ["unknown"])[0]
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"{where}: config.json in '{source}' cannot be read ({error}); give the folder that "
            "save_pretrained wrote."
        ) from None
    _has_its_shards(source, names, where)
    if isinstance(config.get("auto_map"), dict) and not _is_known(config.get("model_type")):
        raise UserError(
            f"{where}: '{source}' needs custom code ({config.get('model_type')}), and code from a "
            "model repository is never run. Choose a model that transformers supports."
        )
    target.mkdir(parents=True)
    for name in names:
        (target / name).symlink_to((source / name).resolve())
    return {
        "architecture": architecture,
        "weight_bytes": sum(file.stat().st_size for file in target.glob("*.safetensors")),
    }


def _has_its_shards(source: Path, names: list[str], where: str) -> None:
    """Every shard that the index lists is one of the files that are taken.

    transformers would also read files in another folder, such as ../others.safetensors.
    """
    index = source / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        absent = [str(shard) for shard in dict.fromkeys(shards) if shard not in names]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{where}: {index.name} in '{source}' cannot be read ({error!r})") from None
    if absent:
        raise UserError(
            f"{where}: {index.name} in '{source}' lists '{absent[0][:80]}', which is not in the "
            "folder; it must hold all of its weights."
        )


def _is_known(model_type: Any) -> bool:
    """Whether transformers has the code of this model; in doubt it is asked when it is loaded."""
    try:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    except ImportError:
        return True
    return model_type in CONFIG_MAPPING_NAMES

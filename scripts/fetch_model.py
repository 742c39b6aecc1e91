"""Put an untuned model where the other stages look for it: from this machine, or the hub."""

from deltatune.core import hashing, stage

with stage.stage(snakemake) as terminal:
    from importlib.util import find_spec
    from pathlib import Path

    from deltatune.core import manifest
    from deltatune.fetch import model
    from deltatune.fetch.model_settings import ModelSettings

    settings = ModelSettings.from_params(snakemake.params.settings)
    folder = Path(snakemake.output.model)
    key = f"models.{settings.model}"

    def check(config_folder: Path) -> None:
        # The environment of --use-conda that fetches data has no torch; loading refuses then.
        if find_spec("torch") is not None:
            from deltatune.models import probes
            from deltatune.models.architecture import of_folder

            probes.require(of_folder(config_folder, key), key)

    facts = model.fetch(settings, folder, terminal.progress, check)
    hashes = hashing.write_hashes(folder, snakemake.output.weights)
    # All but the weights: a chat template or a list of special tokens changes a tokenizer, too.
    hashing.write_hashes(folder, snakemake.output.tokenizer, without="*.safetensors*")
    manifest.write(
        snakemake.output.manifest, settings=snakemake.params.settings, hashes=hashes, **facts
    )

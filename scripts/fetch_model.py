"""Put an untuned model where the other stages look for it: from this machine, or the hub."""

from deltatune.core import hashing, stage

with stage.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune.core import manifest
    from deltatune.fetch import model
    from deltatune.fetch.model_settings import ModelSettings

    settings = ModelSettings.from_params(snakemake.params.settings)
    folder = Path(snakemake.output.model)
    facts = model.fetch(settings, folder, terminal.progress)
    hashes = hashing.write_hashes(folder, snakemake.output.weights)
    # All but the weights: a chat template or a list of special tokens changes a tokenizer, too.
    hashing.write_hashes(folder, snakemake.output.tokenizer, without="*.safetensors*")
    manifest.write(
        snakemake.output.manifest, settings=snakemake.params.settings, hashes=hashes, **facts
    )

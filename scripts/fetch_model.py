"""Put an untuned model where the other stages look for it: from this machine, or the hub."""

from deltatune import runlog

with runlog.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune import manifest, model_files

    settings = snakemake.params.settings
    folder = Path(snakemake.output.model)
    facts = model_files.fetch(settings, folder, terminal.progress)
    hashes = manifest.write_hashes(folder, snakemake.output.weights)
    # All but the weights: a chat template or a list of special tokens changes a tokenizer, too.
    manifest.write_hashes(folder, snakemake.output.tokenizer, without="*.safetensors*")
    manifest.write(snakemake.output.manifest, settings=settings, hashes=hashes, **facts)

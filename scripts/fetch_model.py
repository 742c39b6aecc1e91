"""Put a model that lies on this machine where the other stages look for it."""

from deltatune import runlog

with runlog.stage(snakemake):
    from pathlib import Path

    from deltatune import manifest, model_files

    settings = snakemake.params.settings
    folder = Path(snakemake.output.model)
    facts = model_files.link(Path(settings["path"]), folder, f"models.{settings['model']}.path")
    hashes = manifest.write_hashes(folder, snakemake.output.weights)
    manifest.write_hashes(folder, snakemake.output.tokenizer, "tokenizer*")
    manifest.write(snakemake.output.manifest, settings=settings, hashes=hashes, **facts)

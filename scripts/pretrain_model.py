"""Build a small Mistral from the training text of some tasks."""

from deltatune import runlog

with runlog.stage(snakemake) as terminal:
    from pathlib import Path

    import pandas as pd
    from deltatune import compute, manifest, pretraining, tasks

    settings = snakemake.params.settings
    compute.prepare(settings["seed"], settings["threads"])
    texts = []
    for kind, path in zip(settings["corpus"].values(), snakemake.input.corpus, strict=True):
        records = pd.read_parquet(path).to_dict("records")
        texts += [tasks.load(kind).plain_text(record) for record in records]
    output = Path(snakemake.output.model)
    figures = pretraining.pretrain(texts, settings, output, terminal.progress)
    hashes = manifest.write_hashes(output, snakemake.output.weights)
    manifest.write_hashes(output, snakemake.output.tokenizer, without="*.safetensors*")
    manifest.write(
        snakemake.output.manifest,
        packages=["torch", "transformers", "tokenizers"],
        settings=settings,
        hashes=hashes,
        **figures,
    )

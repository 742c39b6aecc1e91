"""Build a small Mistral from the training text of some tasks."""

from deltatune.core import hashing, stage

with stage.stage(snakemake) as terminal:
    from pathlib import Path

    import pandas as pd
    from deltatune.core import manifest
    from deltatune.models import device, pretrain
    from deltatune.models.pretrain_settings import PretrainSettings
    from deltatune.tasks.registry import load_kind

    settings = PretrainSettings.from_params(snakemake.params.settings)
    device.prepare(settings.seed, settings.threads)
    texts = []
    for kind, path in zip(settings.corpus.values(), snakemake.input.corpus, strict=True):
        records = pd.read_parquet(path).to_dict("records")
        texts += [load_kind(kind).plain_text(record) for record in records]
    output = Path(snakemake.output.model)
    figures = pretrain.pretrain(texts, settings, output, terminal.progress)
    hashes = hashing.write_hashes(output, snakemake.output.weights)
    hashing.write_hashes(output, snakemake.output.tokenizer, without="*.safetensors*")
    manifest.write(
        snakemake.output.manifest,
        packages=["torch", "transformers", "tokenizers"],
        settings=snakemake.params.settings,
        hashes=hashes,
        **figures,
    )

"""Render, tokenise and pack one split for one model's tokenizer."""

from deltatune import runlog

with runlog.stage(snakemake) as terminal:
    from pathlib import Path

    import pandas as pd
    from deltatune import manifest, records, tasks, tokenizer_files, tokens

    settings = snakemake.params.settings
    kind = tasks.load(settings["kind"])
    tokenizer = tokenizer_files.load_tokenizer(snakemake.input.model)
    frame = pd.read_parquet(snakemake.input.records)
    documents = (kind.document(record, settings) for record in records.as_dicts(frame))
    encoded = tokens.encode(documents, tokenizer, settings["max_length"], kind.OVERFLOW)
    columns = tokens.pack(encoded, settings["max_length"])
    folder = Path(snakemake.output.shards)
    tokens.write_shards(columns, folder, shard_rows=4096)
    figures = tokens.summary(encoded, columns)
    if figures["dropped"] or figures["truncated"]:
        terminal.say(
            f"tasks.{settings['task']}.max_length ({settings['max_length']}): in "
            f"{snakemake.wildcards.split}, {figures['truncated']} documents are cut and "
            f"{figures['dropped']} left out"
        )
    hashes = manifest.write_hashes(folder, snakemake.output.hashes)
    manifest.write(
        snakemake.output.manifest,
        packages=["transformers", "tokenizers", "datasets"],
        settings=settings,
        hashes=hashes,
        **figures,
    )

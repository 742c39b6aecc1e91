"""Cut a plain text into chunks of whole sentences that know their chapter."""

from deltatune.core import stage

with stage.stage(snakemake):
    from pathlib import Path

    import pandas as pd
    from deltatune.core import manifest
    from deltatune.data import chunking
    from deltatune.data.chunk_settings import Chunks

    settings = Chunks.from_params(snakemake.params.settings)
    records = pd.read_parquet(snakemake.input.records)
    paragraphs, documents = records["text"], records.get("document")
    chunks = chunking.chunk_text(paragraphs, settings.max_words, documents)
    chunks.to_csv(snakemake.output.chunks, index=False, lineterminator="\n")
    source = chunks.attrs["source"]
    Path(snakemake.output.source).write_text(source, encoding="utf-8", newline="\n")
    manifest.write(
        snakemake.output.manifest,
        packages=["pandas"],
        settings=snakemake.params.settings,
        paragraphs=len(paragraphs),
        chunks=len(chunks),
        chapters=chunks["chapter"].nunique(),
        headings_left_out=chunks.attrs["headings"],
        sentences_cut=chunks.attrs["sentences_cut"],
        source_characters=len(source),
        source_bytes=len(source.encode("utf-8")),
    )

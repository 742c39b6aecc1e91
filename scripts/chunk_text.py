"""Cut a plain text into chunks of whole sentences that know their chapter."""

from deltatune import runlog

with runlog.stage(snakemake):
    import pandas as pd
    from deltatune import chunking

    paragraphs = pd.read_parquet(snakemake.input.records, columns=["text"])["text"]
    chunks = chunking.chunk_text(paragraphs, **snakemake.params.settings)
    chunks.to_csv(snakemake.output.chunks, index=False, lineterminator="\n")
    print(f"{len(chunks)} chunks in {chunks['chapter'].nunique()} chapters")

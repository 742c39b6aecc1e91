"""A classical baseline on the same splits: TF-IDF and logistic regression."""

from deltatune.core import stage

with stage.stage(snakemake):
    import pandas as pd
    from deltatune.core import manifest
    from deltatune.evaluate import baselines

    scores = baselines.tfidf_logistic_regression(
        pd.read_parquet(snakemake.input.train),
        pd.read_parquet(snakemake.input.test),
        confidence=snakemake.params.settings["confidence"],
    )
    manifest.write(snakemake.output.scores, packages=["scikit-learn"], **scores)

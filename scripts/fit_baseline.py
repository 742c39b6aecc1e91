"""TF-IDF and logistic regression on the same splits: what a reader would ask for first."""

from deltatune import runlog

with runlog.stage(snakemake):
    import pandas as pd
    from deltatune import baselines, manifest

    scores = baselines.tfidf_logistic_regression(
        pd.read_parquet(snakemake.input.train),
        pd.read_parquet(snakemake.input.test),
        confidence=snakemake.params.settings["confidence"],
    )
    manifest.write(snakemake.output.scores, packages=["scikit-learn"], **scores)

"""Compare the tuned systems of an experiment with their base on one task."""

from deltatune.core import stage

with stage.stage(snakemake):
    import pandas as pd
    from deltatune.compare import paired, weights
    from deltatune.compare.settings import ComparisonSettings
    from deltatune.core import label_file

    settings = ComparisonSettings.from_params(snakemake.params.settings)
    base, tuned = snakemake.input.base, snakemake.input.tuned
    scores = {path: pd.read_parquet(path) for path in (base, *tuned)}
    weights.require_same(scores, settings.metrics.outputs)
    paired.compare(
        scores[base],
        [scores[path] for path in tuned],
        settings,
        label_file.read(snakemake.input.labels),
    ).to_csv(snakemake.output.comparison, index=False, lineterminator="\n")

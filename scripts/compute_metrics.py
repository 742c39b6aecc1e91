"""Score one evaluation by the metrics of its task."""

from deltatune.core import stage

with stage.stage(snakemake):
    import pandas as pd
    from deltatune.core import label_file
    from deltatune.evaluate import scores
    from deltatune.metrics.settings import MetricsSettings

    scores.write(
        pd.read_parquet(snakemake.input.outputs),
        MetricsSettings.from_params(snakemake.params.settings),
        label_file.read(snakemake.input.labels),
        snakemake.wildcards.split,
        scores=snakemake.output.scores,
        metrics=snakemake.output.metrics,
        table=snakemake.output.table,
    )

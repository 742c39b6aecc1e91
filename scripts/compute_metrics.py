"""Judge one evaluation by the metrics of its task."""

from deltatune.core import stage

with stage.stage(snakemake):
    from pathlib import Path

    import pandas as pd
    from deltatune.compare import paired
    from deltatune.core import manifest

    settings = snakemake.params.settings
    outputs = Path(snakemake.input.outputs)
    scores, values = paired.compute_metrics(pd.read_parquet(outputs), outputs.stem, settings)
    scores.to_parquet(snakemake.output.scores, index=False)
    manifest.write(snakemake.output.metrics, packages=["evaluate"], metrics=values)
    pd.DataFrame.from_dict(values, orient="index").rename_axis("metric").to_csv(
        snakemake.output.table, lineterminator="\n"
    )

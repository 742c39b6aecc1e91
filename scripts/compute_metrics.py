"""Score one evaluation by the metrics of its task."""

from deltatune.core import stage

with stage.stage(snakemake):
    from pathlib import Path

    import pandas as pd
    from deltatune.core import manifest
    from deltatune.evaluate import scores

    settings = snakemake.params.settings
    outputs = Path(snakemake.input.outputs)
    per_example, figures = scores.compute_metrics(pd.read_parquet(outputs), outputs.stem, settings)
    per_example.to_parquet(snakemake.output.scores, index=False)
    manifest.write(snakemake.output.metrics, packages=["evaluate"], metrics=figures)
    pd.DataFrame.from_dict(figures, orient="index").rename_axis("metric").to_csv(
        snakemake.output.table, lineterminator="\n"
    )

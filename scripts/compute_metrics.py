"""Score one evaluation by the metrics of its task."""

from deltatune.core import stage

with stage.stage(snakemake):
    from pathlib import Path

    import pandas as pd
    from deltatune.evaluate import scores

    outputs = Path(snakemake.input.outputs)
    scores.write(
        pd.read_parquet(outputs),
        outputs.stem,
        snakemake.params.settings,
        scores=snakemake.output.scores,
        metrics=snakemake.output.metrics,
        table=snakemake.output.table,
    )

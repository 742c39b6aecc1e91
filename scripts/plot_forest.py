"""Draw the difference that tuning made, by experiment and metric, with intervals."""

from deltatune import runlog

with runlog.stage(snakemake):
    import pandas as pd
    from deltatune.reporting import figures

    comparison = pd.read_csv(snakemake.input.comparison)
    figures.save(
        figures.plot_forest(comparison, **snakemake.params.settings), snakemake.output.figure
    )

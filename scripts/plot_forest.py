"""Draw the difference that tuning made, by experiment and metric, with intervals."""

from deltatune import runlog

with runlog.stage(snakemake):
    from deltatune import comparisons
    from deltatune.reporting import figures

    comparison = comparisons.read(snakemake.input.comparison)
    figures.save(
        figures.plot_forest(comparison, **snakemake.params.settings), snakemake.output.figure
    )

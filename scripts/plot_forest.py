"""Draw the difference that tuning made, by experiment and metric, with intervals."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.compare import table
    from deltatune.report import figures

    comparison = table.read(snakemake.input.comparison)
    figures.save(
        figures.plot_forest(comparison, **snakemake.params.settings), snakemake.output.figure
    )

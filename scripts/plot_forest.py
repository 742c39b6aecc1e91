"""Draw the difference that tuning made, by experiment and metric, with intervals."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.compare import table
    from deltatune.report.figures import forest, svg

    comparison = table.read(snakemake.input.comparison)
    settings = snakemake.params.settings
    figure = forest.plot(comparison, settings["titles"], confidence=settings["confidence"])
    svg.save(figure, snakemake.output.figure)

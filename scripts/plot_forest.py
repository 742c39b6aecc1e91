"""Draw the difference that tuning made, by experiment and metric, with intervals."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.compare import fact
    from deltatune.report.figures import forest, svg
    from deltatune.report.figures.settings import ForestSettings

    settings = ForestSettings.from_params(snakemake.params.settings)
    facts = fact.read(snakemake.input.comparison)
    figure = forest.plot(facts, settings.titles, settings.confidence)
    svg.save(figure, snakemake.output.figure)

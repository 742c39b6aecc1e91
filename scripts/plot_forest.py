"""Draw the difference that tuning made to each experiment on each task, with intervals."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.compare import fact
    from deltatune.report.figures import forest, svg
    from deltatune.report.figures.settings import ForestSettings

    settings = ForestSettings.from_params(snakemake.params.settings)
    own = fact.read(snakemake.input.comparison)
    cross_task = snakemake.input.get("cross_task")
    others = fact.read(cross_task) if cross_task else []
    figure = forest.plot(own, others, settings.titles, settings.confidence)
    svg.save(figure, snakemake.output.figure)

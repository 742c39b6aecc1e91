"""Draw how the main metric changed from example to example."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.report import reading
    from deltatune.report.figures import differences, svg
    from deltatune.report.figures.settings import DifferencesSettings

    settings = DifferencesSettings.from_params(snakemake.params.settings)
    scores = reading.scores(snakemake.input.base, snakemake.input.tuned, settings.metric)
    figure = differences.plot(
        scores, settings.seeds, settings.higher_is_better, settings.title, settings.unit
    )
    svg.save(figure, snakemake.output.figure)

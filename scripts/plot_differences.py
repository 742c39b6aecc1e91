"""Draw how the main metric changed from example to example."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.report import reading
    from deltatune.report.figures import differences, svg

    settings = snakemake.params.settings
    scores = reading.scores(snakemake.input.base, snakemake.input.tuned, settings["metric"])
    shown = {key: settings[key] for key in ("seeds", "higher_is_better", "title", "unit")}
    figure = differences.plot(scores, **shown)
    svg.save(figure, snakemake.output.figure)

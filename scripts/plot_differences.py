"""Draw how the main metric changed from example to example."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.core import manifest
    from deltatune.report import reading
    from deltatune.report.figures import differences, svg

    settings = snakemake.params.settings
    scores = reading.scores(snakemake.input.base, snakemake.input.tuned, settings["metric"])
    metric = manifest.read(snakemake.input.metrics)["metrics"][settings["metric"]]
    figure = differences.plot(scores, metric["higher_is_better"], metric["title"], settings["unit"])
    svg.save(figure, snakemake.output.figure)

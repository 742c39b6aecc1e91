"""Draw how the main metric changed from example to example."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.core import manifest
    from deltatune.report import figures, reading

    settings = snakemake.params.settings
    scores = reading.scores(snakemake.input.base, snakemake.input.tuned, settings["metric"])
    metric = manifest.read(snakemake.input.metrics)["metrics"][settings["metric"]]
    figures.save(
        figures.plot_differences(
            scores, metric["higher_is_better"], metric["title"], settings["unit"]
        ),
        snakemake.output.figure,
    )

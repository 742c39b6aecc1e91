"""Draw how the main metric changed from example to example."""

from deltatune import runlog

with runlog.stage(snakemake):
    from deltatune import manifest
    from deltatune.reporting import figures, reading

    settings = snakemake.params.settings
    scores = reading.scores(snakemake.input.base, snakemake.input.tuned, settings["metric"])
    metric = manifest.read(snakemake.input.metrics)["metrics"][settings["metric"]]
    figures.save(
        figures.plot_differences(
            scores, metric["higher_is_better"], metric["title"], settings["unit"]
        ),
        snakemake.output.figure,
    )

"""Draw which class was taken for which, by the base and by the tuned system."""

from deltatune import runlog

with runlog.stage(snakemake):
    from deltatune.reporting import figures, reading

    labels = snakemake.params.settings["labels"]
    counts = reading.confusion(snakemake.input.base, snakemake.input.tuned, labels)
    figures.save(figures.plot_confusion(counts), snakemake.output.figure)

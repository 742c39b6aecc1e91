"""Draw which class was taken for which, by the base and by the tuned system."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.report import figures, reading

    labels = snakemake.params.settings["labels"]
    counts = reading.confusion(snakemake.input.base, snakemake.input.tuned, labels)
    figures.save(figures.plot_confusion(counts), snakemake.output.figure)

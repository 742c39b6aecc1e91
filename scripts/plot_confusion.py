"""Draw the confusion matrices of the base and of the tuned system."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.core import label_file
    from deltatune.report import reading
    from deltatune.report.figures import confusion, svg
    from deltatune.report.figures.settings import ConfusionSettings

    settings = ConfusionSettings.from_params(snakemake.params.settings)
    names = label_file.read(snakemake.input.labels)
    counts = reading.confusion(snakemake.input.base, snakemake.input.tuned, names)
    svg.save(confusion.plot(counts, settings.seeds), snakemake.output.figure)

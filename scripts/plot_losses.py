"""Draw training and validation loss of one experiment over all of its seeds."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.report import reading
    from deltatune.report.figures import losses, svg
    from deltatune.report.figures.settings import LossesSettings

    settings = LossesSettings.from_params(snakemake.params.settings)
    curves = reading.losses({settings.experiment: snakemake.input.losses}, settings.seeds)
    svg.save(losses.plot(curves), snakemake.output.figure)

"""Draw training and validation loss of one experiment over all of its seeds."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.report import figures, reading

    settings = snakemake.params.settings
    losses = reading.losses({settings["experiment"]: snakemake.input.losses}, settings["seeds"])
    figures.save(figures.plot_losses(losses), snakemake.output.figure)

"""Draw training and validation loss of one experiment over all of its seeds."""

from deltatune import runlog

with runlog.stage(snakemake):
    from deltatune.reporting import figures, reading

    settings = snakemake.params.settings
    losses = reading.losses({settings["experiment"]: snakemake.input.losses}, settings["seeds"])
    figures.save(figures.plot_losses(losses), snakemake.output.figure)

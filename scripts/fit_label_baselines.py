"""Labels by the plain baselines of a task, and their scores."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.evaluate.baselines import labels, run

    run.write(
        labels.BASELINES,
        snakemake.input,
        snakemake.output,
        snakemake.params.settings,
        snakemake.wildcards.split,
    )

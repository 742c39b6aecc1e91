"""Answers of the plain baselines of a task, and their scores."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.evaluate.baselines import answers, run

    run.write(
        answers.BASELINES,
        snakemake.input,
        snakemake.output,
        snakemake.params.settings,
        snakemake.wildcards.split,
    )

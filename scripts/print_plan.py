"""Print what each experiment will take, before anything is downloaded or trained."""

from deltatune import runlog

with runlog.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune import planning

    settings = snakemake.params.settings
    table = planning.make(settings, Path(settings["presets"]), terminal.say)
    # Not an output: the plan is to be made and printed each time that it is asked for.
    table.to_csv("results/plan.csv", index=False, lineterminator="\n")

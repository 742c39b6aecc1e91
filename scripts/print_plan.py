"""Print what each experiment will take, before anything is downloaded or trained."""

from deltatune.core import stage

with stage.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune.core.paths import RESULTS
    from deltatune.plan import plan

    settings = snakemake.params.settings
    table = plan.make(settings, Path(settings["presets"]), terminal.say)
    # Not an output: the plan is to be made and printed each time that it is requested.
    table.to_csv(Path(RESULTS, "plan.csv"), index=False, lineterminator="\n")

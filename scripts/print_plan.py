"""Print what each experiment will take, before anything is downloaded or trained."""

from deltatune.core import stage

# The compiler is asked what compiled blocks save, also on a machine without a GPU.
with stage.stage(snakemake, compiles=True) as terminal:
    from pathlib import Path

    from deltatune.core.paths import ROOT
    from deltatune.plan import plan
    from deltatune.plan.settings import PlanSettings

    settings = PlanSettings.from_params(snakemake.params.settings)
    results = Path(snakemake.log[0]).parents[1]
    table = plan.make(settings, ROOT / "presets", results, terminal.say)
    # Not an output: the plan is to be made and printed each time that it is requested.
    table.to_csv(results / "plan.csv", index=False, lineterminator="\n")

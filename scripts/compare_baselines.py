"""Compare the tuned systems of all experiments with the plain baselines of their tasks."""

from deltatune.core import stage

with stage.stage(snakemake):
    import pandas as pd
    from deltatune.compare import family, paired

    comparisons = snakemake.params.settings
    baselines, tuned = iter(snakemake.input.baselines), iter(snakemake.input.tuned)
    rows = []
    for settings in comparisons:
        runs = [pd.read_parquet(next(tuned)) for _ in settings["seeds"]]
        for name in settings["baselines"]:
            baseline = pd.read_parquet(next(baselines))
            rows.append(paired.compare(baseline, runs, settings, against=name))
    family.independent(rows, comparisons[0]["statistics"]["confidence"]).to_csv(
        snakemake.output.comparison, index=False, lineterminator="\n"
    )

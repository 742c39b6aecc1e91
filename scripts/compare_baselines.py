"""Compare the tuned systems of all experiments with the plain baselines of their tasks."""

from deltatune.core import stage

with stage.stage(snakemake):
    import pandas as pd
    from deltatune.compare import family, paired

    comparisons = snakemake.params.settings
    rows = [
        paired.compare(
            pd.read_parquet(baseline),
            [pd.read_parquet(tuned) for tuned in one["tuned"]],
            one["settings"],
            against=name,
        )
        for one in comparisons
        for name, baseline in one["baselines"].items()
    ]
    family.independent(rows, comparisons[0]["settings"]["statistics"]["confidence"]).to_csv(
        snakemake.output.comparison, index=False, lineterminator="\n"
    )

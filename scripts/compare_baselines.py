"""Compare the tuned systems of all experiments with the plain baselines of their tasks."""

from deltatune.core import stage

with stage.stage(snakemake):
    import pandas as pd
    from deltatune.compare import family, paired
    from deltatune.compare.settings import BaselinesSettings
    from deltatune.core import label_file

    settings = BaselinesSettings.from_params(snakemake.params.settings)
    baselines, tuned = iter(snakemake.input.baselines), iter(snakemake.input.tuned)
    labels = iter(snakemake.input.labels)
    rows = []
    for one in settings.experiments:
        runs = [pd.read_parquet(next(tuned)) for _ in one.comparison.seeds]
        names = label_file.read(next(labels) if one.comparison.metrics.outputs == "labels" else [])
        for name in one.baselines:
            baseline = paired.of_examples(pd.read_parquet(next(baselines)), runs[0])
            rows.append(paired.compare(baseline, runs, one.comparison, names, against=name))
    family.independent(rows, settings.confidence).to_csv(
        snakemake.output.comparison, index=False, lineterminator="\n"
    )

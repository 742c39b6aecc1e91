"""Compare the tuned systems of an experiment with their base on one task."""

from deltatune.core import stage

with stage.stage(snakemake):
    import pandas as pd
    from deltatune.compare import paired
    from deltatune.compare.settings import ComparisonSettings
    from deltatune.core import label_file

    paired.compare(
        pd.read_parquet(snakemake.input.base),
        [pd.read_parquet(path) for path in snakemake.input.tuned],
        ComparisonSettings.from_params(snakemake.params.settings),
        label_file.read(snakemake.input.labels),
    ).to_csv(snakemake.output.comparison, index=False, lineterminator="\n")

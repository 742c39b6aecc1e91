"""One table of all comparisons, with p-values adjusted for how many there are."""

from deltatune import runlog

with runlog.stage(snakemake):
    from deltatune import comparisons, scoring

    tables = [comparisons.read(path) for path in snakemake.input.comparisons]
    scoring.join(tables).to_csv(snakemake.output.comparison, index=False, lineterminator="\n")

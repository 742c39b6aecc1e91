"""One table of all comparisons, with p-values adjusted for how many there are."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.compare import family, table

    tables = [table.read(path) for path in snakemake.input.comparisons]
    family.join(tables, snakemake.params.settings["confidence"]).to_csv(
        snakemake.output.comparison, index=False, lineterminator="\n"
    )

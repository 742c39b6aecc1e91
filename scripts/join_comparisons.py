"""One table of all comparisons, with p-values adjusted for how many there are."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.compare import family, table
    from deltatune.compare.settings import TableSettings

    settings = TableSettings.from_params(snakemake.params.settings)
    tables = [table.read(path) for path in snakemake.input.comparisons]
    family.join(tables, settings.confidence).to_csv(
        snakemake.output.comparison, index=False, lineterminator="\n"
    )

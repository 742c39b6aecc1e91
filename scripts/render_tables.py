"""Write the tables of a run as pages: Snakemake's report shows those, and only downloads CSV."""

from deltatune.core import stage

with stage.stage(snakemake):
    from pathlib import Path

    from deltatune.report import table_page

    styles = [Path(path) for path in snakemake.input.styles]
    for table, target in zip(snakemake.input.tables, snakemake.output.pages, strict=True):
        Path(target).write_text(table_page.render(Path(table), table, styles), encoding="utf-8")

"""Pack a run, its configuration and the project into one RO-Crate."""

from deltatune.core import stage

with stage.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune.archive import preview, writer

    settings = snakemake.params.settings
    found = writer.contents(
        snakemake.input.results,
        snakemake.input.adapters,
        snakemake.input.workflow,
        snakemake.input.sources,
        settings,
    )
    facts = writer.write(
        Path(snakemake.output.archive),
        found,
        settings,
        lambda document: preview.render(Path(snakemake.input.template), document, settings),
    )
    terminal.say(
        f"{facts['files']} files of {facts['bytes'] / 1e6:,.1f} MB are in "
        f"{snakemake.output.archive}"
    )

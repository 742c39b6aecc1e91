"""Pack a run, its configuration and the project into one RO-Crate."""

from deltatune import runlog

with runlog.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune import archiving, crate_preview

    settings = snakemake.params.settings
    found = archiving.contents(
        snakemake.input.results,
        snakemake.input.adapters,
        snakemake.input.workflow,
        snakemake.input.sources,
        settings,
    )
    facts = archiving.write(
        Path(snakemake.output.archive),
        found,
        settings,
        lambda document: crate_preview.render(Path(snakemake.input.template), document, settings),
    )
    terminal.say(
        f"{facts['files']} files of {facts['bytes'] / 1e6:,.1f} MB are in "
        f"{snakemake.output.archive}"
    )

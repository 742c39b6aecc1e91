"""Pack a run, its configuration and the project into one RO-Crate."""

from deltatune.core import stage

with stage.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune.archive import preview, writer
    from deltatune.core.paths import results_of
    from deltatune.core.text import file_size

    settings, folder = snakemake.params.settings, results_of(snakemake.log[0])
    members = writer.collect(
        snakemake.input.results,
        snakemake.input.adapters,
        snakemake.input.workflow,
        snakemake.input.sources,
        settings,
        folder,
    )
    counts = writer.write(
        Path(snakemake.output.archive),
        members,
        settings,
        lambda document: preview.render(Path(snakemake.input.template), document, settings),
        folder,
    )
    terminal.say(
        f"{counts['files']} files of {file_size(counts['bytes'])} are in {snakemake.output.archive}"
    )

"""Read a dataset's file into records.parquet; what cannot be read goes to rejects.csv."""

from deltatune import runlog

with runlog.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune import manifest, sources

    settings = snakemake.params.settings
    source = Path(snakemake.input.source)
    where = f"datasets.{settings['dataset']}"
    files = {
        "write": Path(snakemake.output.records),
        "rejects": Path(snakemake.output.rejects),
        "where": where,
    }
    if settings["text"]:
        counts = sources.read_text(source, **files)
    else:
        counts = sources.read_records(source, settings.get("format"), settings["columns"], **files)
    if counts["rejected"]:
        terminal.say(f"{where}: {counts['rejected']} of {counts['rows']} records rejected")
    manifest.write(
        snakemake.output.manifest,
        packages=["pyarrow"],
        settings=settings,
        source_sha256=manifest.file_hash(source),
        **counts,
    )

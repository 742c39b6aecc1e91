"""Bring a dataset's records into records.parquet; what cannot be read goes to rejects.csv."""

from deltatune.core import stage

with stage.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune.core import manifest
    from deltatune.fetch import dataset
    from deltatune.fetch.dataset_settings import DatasetSettings

    settings = DatasetSettings.from_params(snakemake.params.settings)
    source = snakemake.input.get("source", [])
    facts = dataset.records(
        settings,
        [Path(path) for path in ([source] if isinstance(source, str) else source)],
        write=Path(snakemake.output.records),
        rejects=Path(snakemake.output.rejects),
        # Beside the folders of all datasets: what is fetched is known by where it came from.
        downloads=Path(snakemake.output.manifest).parents[2] / "downloads",
        progress=terminal.progress,
    )
    name = f"datasets.{settings.dataset}"
    for note in facts.get("notes", []):
        terminal.say(f"{name}: {note}")
    if facts["rejected"]:
        terminal.say(f"{name}: {facts['rejected']} of {facts['rows']} records rejected")
    packages = ["pyarrow", *(["datasets", "huggingface_hub"] if "commit" in facts else [])]
    manifest.write(
        snakemake.output.manifest, packages=packages, settings=snakemake.params.settings, **facts
    )

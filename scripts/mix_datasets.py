"""Draw the records of a mixture from those of its datasets, in the shares that are asked for."""

from deltatune.core import stage

with stage.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune.core import manifest
    from deltatune.data import mixing
    from deltatune.data.mixture_settings import MixtureSettings

    settings = MixtureSettings.from_params(snakemake.params.settings)
    # In the order of their names, as the inputs are.
    files = zip(settings.of, snakemake.input.records, snakemake.input.rejects, strict=True)
    facts = mixing.mix(
        {name: mixing.Part.read(Path(records), Path(rejects)) for name, records, rejects in files},
        settings,
        write=Path(snakemake.output.records),
        rejects=Path(snakemake.output.rejects),
    )
    where = f"datasets.{settings.dataset}"
    for name, part in facts["parts"].items():
        terminal.say(
            f"{where}: {part['drawn']:,} of {part['rows']:,} rows of '{name}' are drawn, "
            f"{part['drawn'] / facts['rows']:.1%} of all; {part['left']:,} are left"
        )
    for note in facts.get("notes", []):
        terminal.say(f"{where}: {note}")
    manifest.write(
        snakemake.output.manifest,
        packages=["pyarrow", "numpy"],
        settings=snakemake.params.settings,
        **facts,
    )

"""Clean the records of a task and divide them into training, validation and test."""

from deltatune.core import stage

with stage.stage(snakemake) as terminal:
    from pathlib import Path

    import pandas as pd
    import pyarrow.parquet as pq
    from deltatune.core import label_file, manifest
    from deltatune.data import classes, frames, prepare
    from deltatune.data.readers.writer import about_source
    from deltatune.data.reasons import Code
    from deltatune.data.split_settings import SplitSettings
    from deltatune.tasks.base import few_clusters
    from deltatune.tasks.registry import load_kind

    kind = load_kind(snakemake.params.settings["kind"])
    settings = SplitSettings[kind.Records].from_params(snakemake.params.settings)
    where = f"tasks.{settings.task}"
    path = Path(snakemake.input.records)
    is_table = path.suffix == ".csv"
    source = {} if is_table else about_source(path)
    unread = pd.read_csv(snakemake.input.rejects, dtype=str, keep_default_na=False)
    unread["row"] = unread["row"].astype("int64")
    paragraphs = snakemake.input.get("paragraphs")
    if paragraphs:
        paragraphs = pq.ParquetFile(paragraphs).metadata.num_rows + len(unread)
    split, counts = prepare.prepare(
        # Without a name here, so that they end where all of them are in the splits.
        pd.read_csv(path, dtype={"chapter": str, "text": str}, keep_default_na=False)
        if is_table
        else pd.read_parquet(path),
        kind,
        settings,
        unread,
        paragraphs or None,
        folder=Path(snakemake.output.manifest).parent,
        source_rows=source.get("splits"),
        class_names=source.get("classes", {}).get(kind.LABEL_FIELD, ()),
    )
    for name, part in split.parts().items():
        frames.write(part, snakemake.output[name])
    names = list(counts["classes"]["train"]) if "classes" in counts else []
    label_file.write(snakemake.output.labels, names)
    split.excluded.to_csv(snakemake.output.excluded, index=False, lineterminator="\n")
    if len(split.excluded):
        terminal.say(
            f"{where}: {len(split.excluded)} of {counts['records'] + len(unread)} records left "
            f"out; reasons in {snakemake.output.excluded}"
        )
    for note in counts["notes"]:
        terminal.say(f"{where}: {note}")
    clusters = kind.clusters(split.test)
    if clusters:
        number, unit = clusters["cluster"].nunique(), clusters["cluster_unit"]
        counts["test_clusters"] = {"number": number, "unit": unit}
        if message := few_clusters(number, unit, where):
            terminal.say(message)
    if "classes" in counts:
        near_duplicates = counts["excluded"].get(Code.NEAR_DUPLICATE, 0)
        for shortage in classes.shortages(counts["classes"], near_duplicates):
            terminal.say(f"{where}: {shortage}")
    manifest.write(
        snakemake.output.manifest,
        packages=["pandas", "scikit-learn"],
        settings=snakemake.params.settings,
        **counts,
    )

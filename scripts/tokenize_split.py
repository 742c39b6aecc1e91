"""Render, tokenize and pack one split for one model's tokenizer."""

from deltatune.core import hashing, stage

with stage.stage(snakemake, cached=True) as terminal:
    from dataclasses import replace
    from pathlib import Path

    from deltatune.core import label_file, manifest
    from deltatune.data import records
    from deltatune.tasks.base import labeled
    from deltatune.tasks.registry import load_kind
    from deltatune.tokens import (
        context,
        encode,
        labels,
        left_out,
        overflow,
        pieces,
        supervision,
        vocabulary,
        weights,
        writer,
    )
    from deltatune.tokens import tokenizer as tokenizer_files
    from deltatune.tokens.settings import TokenizeSettings
    from deltatune.tokens.upstream import leave_out_torch

    leave_out_torch()
    kind = load_kind(snakemake.params.settings["kind"])
    settings = TokenizeSettings[kind.Prompts].from_params(snakemake.params.settings)
    settings = labeled(kind, settings, label_file.read(snakemake.input.labels))
    folder = Path(snakemake.input.model)
    context.check_folder(folder, settings.task, max_length=settings.max_length)
    tokenizer = tokenizer_files.load_tokenizer(folder)
    vocabulary.check(tokenizer, context.read_config(folder), snakemake.wildcards.model)
    if kind.OUTPUTS == "labels":
        names, completions = settings.prompts.labels, kind.completions(settings.prompts)
        labels.check_distinct(names, completions, tokenizer, f"tasks.{settings.task}.labels")
    path = snakemake.input.records
    documents = (kind.document(record, settings.prompts) for record in records.streamed(path))
    shortening = overflow.shortening_of(kind.TRUNCATION, settings.overflow)
    encoded = encode.encode(
        documents, tokenizer, settings.max_length, shortening, settings.train_on_prompt
    )
    ids, split = records.column(path, "id"), snakemake.wildcards.split
    if settings.overflow == "refuse":
        limit = f"tasks.{settings.task}.max_length ({settings.max_length:,} tokens)"
        overflow.refuse(encoded.too_long, ids, f"tasks.{settings.task}: {split}", limit)
    unsupervised = supervision.unsupervised(encoded)
    if notice := supervision.notice(unsupervised, ids, settings.task, split, settings.max_length):
        terminal.say(notice)
    packed, about = encode.pack(encoded, settings.max_length, settings.packing), {}
    if settings.class_weights and split == "train":
        of_records, key = (
            records.column(path, kind.LABEL_FIELD),
            f"tasks.{settings.task}.class_weights",
        )
        chosen = weights.of_classes(
            of_records, settings.prompts.labels, settings.class_weights, key
        )
        packed = replace(packed, weights=weights.of_pieces(encoded, of_records, chosen))
        about["class_weights"] = {name: round(weight, 4) for name, weight in chosen.items()}
        listed = ", ".join(f"'{n}' {weight:.3g}" for n, weight in chosen.items())
        terminal.say(f"{key}: in the training loss {listed}")
    folder = Path(snakemake.output.shards)
    writer.write_shards(packed, folder, shard_rows=4096)
    figures = encode.summary(encoded, packed)
    if figures["truncated"]:
        terminal.say(
            f"tasks.{settings.task}.max_length ({settings.max_length}): in {split}, "
            f"{figures['truncated']} documents are truncated"
            + f", by {figures['turns_left_out']} turns"
            * (figures["turns_left_out"] > 0)
        )
    if lacks := left_out.sentence(figures):
        terminal.say(f"tasks.{settings.task}, {split}: {lacks}")
    pieces.table(encoded, packed, ids).to_parquet(snakemake.output.pieces, index=False)
    excluded = overflow.excluded(unsupervised, ids, encoded.too_long)
    excluded.to_csv(snakemake.output.excluded, index=False, lineterminator="\n")
    hashes = hashing.write_hashes(folder, snakemake.output.hashes)
    manifest.write(
        snakemake.output.manifest,
        packages=["transformers", "tokenizers", "datasets"],
        settings=snakemake.params.settings,
        hashes=hashes,
        unsupervised_records=[
            {"record": ids[n], "reason": str(reason)} for n, reason in unsupervised.items()
        ],
        **figures,
        **about,
    )

"""Write an adapter and its base as one 16-bit model, and measure what that changed."""

from deltatune import runlog

with runlog.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune import merging

    settings = snakemake.params.settings
    merging.check(
        settings["quantisation"], f"experiments.{snakemake.wildcards.experiment}.quantisation"
    )
    import pandas as pd
    from deltatune import manifest, systems, tasks

    inputs, output = snakemake.input, Path(snakemake.output.model)
    machine, model, tokenizer = systems.load(inputs, settings["quantisation"])
    kind = tasks.load(settings["kind"])
    records = pd.read_parquet(inputs.test).to_dict("records")
    pieces = merging.sample(records, kind, settings, tokenizer)
    evaluated = list(merging.log_probabilities(model, pieces))
    del model  # its memory is needed; an evaluated model may also hold repacked weights
    terminal.progress("merging")
    adapter = Path(inputs.adapter).with_suffix("")
    model = merging.merge(inputs.model, settings["quantisation"], machine, adapter)
    merging.save(model, inputs.model, output, kind.document(records[0], settings).prompt)
    dtype = model.dtype
    del model
    figures = merging.divergence(evaluated, merging.load_plain(output), pieces, terminal.progress)
    merging.refuse_if_broken(figures)
    terminal.say(
        f"{snakemake.wildcards.experiment}, seed {snakemake.wildcards.seed}: "
        + merging.verdict(figures, dtype, settings["quantisation"])
    )
    hashes = manifest.write_hashes(output, snakemake.output.hashes)
    manifest.write(
        snakemake.output.manifest,
        packages=systems.PACKAGES,
        settings=settings,
        device=machine.device,
        evaluated_dtype=str(machine.dtype),
        dtype=str(dtype),
        base=manifest.read_hashes(inputs.weights),
        adapter=manifest.read_hashes(inputs.adapter),
        hashes=hashes,
        divergence=figures,
    )

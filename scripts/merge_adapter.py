"""Write an adapter and its base as one 16-bit model, and measure what that changed."""

from deltatune.core import hashing, stage

with stage.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune.models import divergence, merge
    from deltatune.models.merge_settings import MergeSettings
    from deltatune.tasks.registry import load_kind

    kind = load_kind(snakemake.params.settings["kind"])
    settings = MergeSettings[kind.Prompts].from_params(snakemake.params.settings)
    merge.check(settings.quantization, f"experiments.{snakemake.wildcards.experiment}.quantization")
    import pandas as pd
    from deltatune.core import label_file, manifest
    from deltatune.evaluate import systems
    from deltatune.models.load import PACKAGES
    from deltatune.tasks.base import labeled

    inputs, output = snakemake.input, Path(snakemake.output.model)
    settings = labeled(kind, settings, label_file.read(inputs.labels))
    machine, model, tokenizer = systems.load_as_trained(inputs, settings.quantization)
    records = pd.read_parquet(inputs.test).to_dict("records")
    pieces = merge.sample(records, kind, settings, tokenizer)
    as_trained = [of_one.cpu() for of_one in divergence.log_probabilities(model, pieces)]
    del model  # its memory is needed; an evaluated model may also have repacked weights
    terminal.progress("merging")
    adapter = Path(inputs.adapter).with_suffix("")
    model = merge.merge(inputs.model, settings.quantization, machine, adapter)
    merge.save(model, inputs.model, output, kind.document(records[0], settings.prompts).prompt)
    dtype = model.dtype
    del model
    plain = merge.load_plain(output)
    figures = merge.judged(divergence.divergence(as_trained, plain, pieces, terminal.progress))
    merge.refuse_if_broken(figures)
    terminal.say(
        f"{snakemake.wildcards.experiment}, seed {snakemake.wildcards.seed}: "
        + merge.verdict(figures, dtype, settings.quantization)
    )
    hashes = hashing.write_hashes(output, snakemake.output.hashes)
    manifest.write(
        snakemake.output.manifest,
        packages=PACKAGES,
        settings=snakemake.params.settings,
        device=machine.device,
        evaluated_dtype=str(machine.dtype),
        dtype=str(dtype),
        base=hashing.read_hashes(inputs.weights),
        adapter=hashing.read_hashes(inputs.adapter),
        hashes=hashes,
        divergence=figures,
    )

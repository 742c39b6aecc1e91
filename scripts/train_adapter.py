"""Train a LoRA adapter on a quantised base."""

from deltatune import runlog

with runlog.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune import compute, manifest, models, systems, tokens, training

    settings = snakemake.params.settings
    machine = compute.prepare(
        settings["seed"], settings["training"]["threads"], settings["training"]["precision"]
    )
    output = Path(snakemake.output.adapter)
    rows = {
        name: tokens.read_shards(Path(snakemake.input[name]).with_suffix(""))
        for name in ("train", "validation")
    }
    losses, figures = training.train(
        models.load_base(snakemake.input.model, settings["quantisation"], machine),
        rows["train"],
        rows["validation"],
        lora=settings["lora"],
        training=settings["training"],
        seed=settings["seed"],
        compute=machine,
        base=settings["base"]["name"],
        revision=settings["base"]["revision"],
        output=output,
        scratch=output.with_name("scratch"),
        progress=terminal.progress,
        say=terminal.say,
    )
    losses.to_csv(snakemake.output.losses, index=False, lineterminator="\n")
    hashes = manifest.write_hashes(output, snakemake.output.hashes)
    manifest.write(
        snakemake.output.manifest,
        packages=[*systems.PACKAGES, "accelerate"],
        settings=settings,
        device=machine.device,
        dtype=str(machine.dtype),
        precision=machine.reason,
        base=manifest.read_hashes(snakemake.input.weights),
        hashes=hashes,
        **figures,
    )

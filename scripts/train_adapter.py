"""Train a LoRA adapter on a quantised base."""

from deltatune import runlog

with runlog.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune import (
        checkpoints,
        compute,
        interrupts,
        manifest,
        models,
        systems,
        tokens,
        training,
    )

    interrupts.end_with_parent()
    settings = snakemake.params.settings
    machine = compute.prepare(
        settings["seed"], settings["training"]["threads"], settings["training"]["precision"]
    )
    packages = [*systems.PACKAGES, "accelerate"]
    output = Path(snakemake.output.adapter)
    base = manifest.read_hashes(snakemake.input.weights)
    # All that decides what comes out; a checkpoint of anything else is of no use.
    mark = checkpoints.fingerprint(
        {
            "settings": settings,
            "code": snakemake.params.code,
            "base": base,
            "rows": [manifest.read_hashes(snakemake.input[n]) for n in ("train", "validation")],
            "versions": manifest.versions(packages),
            "device": machine.device.split(":")[0],
            "dtype": str(machine.dtype),
        }
    )
    experiment, seed = snakemake.wildcards.experiment, snakemake.wildcards.seed
    saved = checkpoints.Checkpoints(
        Path("results", "checkpoints", experiment, f"seed-{seed}"), mark, terminal.say
    )
    saved.open()
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
        scratch=saved.folder / "trainer",
        checkpoints=saved,
        progress=terminal.progress,
        say=terminal.say,
    )
    losses.to_csv(snakemake.output.losses, index=False, lineterminator="\n")
    hashes = manifest.write_hashes(output, snakemake.output.hashes)
    manifest.write(
        snakemake.output.manifest,
        packages=packages,
        settings=settings,
        device=machine.device,
        dtype=str(machine.dtype),
        precision=machine.reason,
        base=base,
        hashes=hashes,
        **figures,
    )
    saved.remove()

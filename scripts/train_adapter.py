"""Train a LoRA adapter on a quantized base."""

from deltatune.core import hashing, stage

with stage.stage(snakemake) as terminal:
    from pathlib import Path

    import pandas as pd
    from deltatune.core import manifest
    from deltatune.evaluate import systems
    from deltatune.models import device
    from deltatune.train import checkpoints, launch
    from deltatune.train import job as training_job

    settings, wildcards = snakemake.params.settings, snakemake.wildcards
    gpus = settings["training"]["gpus"]
    machine = device.choose(settings["training"]["precision"])
    device.require(gpus, machine)
    packages = [*systems.PACKAGES, "accelerate"]
    output = Path(snakemake.output.adapter)
    base = hashing.read_hashes(snakemake.input.weights)
    shards = {name: snakemake.input[name] for name in ("train", "validation")}
    # All that decides what comes out; a checkpoint of anything else is of no use.
    mark = checkpoints.fingerprint(
        {
            "settings": settings,
            "code": snakemake.params.code,
            "base": base,
            "rows": {name: hashing.read_hashes(path) for name, path in shards.items()},
            "versions": manifest.versions(packages),
            "device": machine.device.split(":")[0],
            "dtype": str(machine.dtype),
        }
    )
    folder = Path("results", "checkpoints", wildcards.experiment, f"seed-{wildcards.seed}")
    job = {
        **{key: settings[key] for key in ("seed", "lora", "training", "quantization")},
        "base": settings["base"]["name"],
        "revision": settings["base"]["revision"],
        "model": str(snakemake.input.model),
        "rows": {name: str(Path(path).with_suffix("")) for name, path in shards.items()},
        "output": str(output),
        "checkpoints": {"folder": str(folder), "mark": mark},
        "scratch": str(folder / "trainer"),
    }
    spoken = {"progress": terminal.progress, "say": terminal.say}
    if gpus == 1:
        done = training_job.run(job, **spoken)
    else:
        done = launch.run(job, gpus, on_gpu=machine.device != "cpu", **spoken)
    losses = pd.DataFrame(done["losses"])
    losses.to_csv(snakemake.output.losses, index=False, lineterminator="\n")
    hashes = hashing.write_hashes(output, snakemake.output.hashes)
    manifest.write(
        snakemake.output.manifest,
        packages=packages,
        settings=settings,
        device=done["device"],
        dtype=done["dtype"],
        precision=done["precision"],
        base=base,
        hashes=hashes,
        **done["figures"],
    )
    checkpoints.Checkpoints(folder, mark).remove()

"""Train a LoRA adapter on a quantized base."""

from deltatune.core import hashing, stage

with stage.stage(snakemake) as terminal:
    from pathlib import Path

    import pandas as pd
    from deltatune.core import manifest
    from deltatune.core.paths import RESULTS
    from deltatune.models import device
    from deltatune.models.load import PACKAGES
    from deltatune.train import checkpoints, launch
    from deltatune.train import job as training_job

    settings, wildcards = snakemake.params.settings, snakemake.wildcards
    gpus = settings["training"]["gpus"]
    machine = device.choose(settings["training"]["precision"])
    device.require(gpus, machine)
    packages = [*PACKAGES, "accelerate"]
    output = Path(snakemake.output.adapter)
    base = hashing.read_hashes(snakemake.input.weights)
    shards = {name: snakemake.input[name] for name in ("train", "validation")}
    # All that decides the result; a checkpoint of anything else is of no use.
    fingerprint = checkpoints.fingerprint(
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
    folder = Path(RESULTS, "checkpoints", wildcards.experiment, f"seed-{wildcards.seed}")
    job = {
        **{key: settings[key] for key in ("seed", "lora", "training", "quantization")},
        "base": settings["base"]["name"],
        "revision": settings["base"]["revision"],
        "model": str(snakemake.input.model),
        "rows": {name: str(Path(path).with_suffix("")) for name, path in shards.items()},
        "output": str(output),
        "checkpoints": {"folder": str(folder), "fingerprint": fingerprint},
        "scratch": str(folder / "trainer"),
    }
    output_to = {"progress": terminal.progress, "say": terminal.say}
    if gpus == 1:
        result = training_job.run(job, **output_to)
    else:
        result = launch.run(job, gpus, on_gpu=machine.device != "cpu", **output_to)
    losses = pd.DataFrame(result["losses"])
    losses.to_csv(snakemake.output.losses, index=False, lineterminator="\n")
    hashes = hashing.write_hashes(output, snakemake.output.hashes)
    manifest.write(
        snakemake.output.manifest,
        packages=packages,
        settings=settings,
        device=result["device"],
        dtype=result["dtype"],
        precision=result["precision"],
        base=base,
        hashes=hashes,
        **result["figures"],
    )
    checkpoints.Checkpoints(folder, fingerprint).remove()

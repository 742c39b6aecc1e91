"""Train a LoRA adapter on a quantized base."""

from deltatune.core import gpu_devices, gpu_slots, hashing, stage

gpus = snakemake.params.settings["training"]["gpus"]
# Nothing is compiled on a CPU.
compiles = bool(gpu_devices.usable()[1])
with stage.stage(snakemake, cached=True, gpus=gpus, compiles=compiles) as terminal:
    from pathlib import Path

    from deltatune.core import manifest
    from deltatune.models import device, published
    from deltatune.models.load import PACKAGES
    from deltatune.train import checkpoints, launch
    from deltatune.train.job import Job
    from deltatune.train.settings import TrainSettings
    from deltatune.train.train import setup

    settings = TrainSettings.from_params(snakemake.params.settings)
    machine = device.choose(settings.training.precision)
    device.require(settings.training.gpus, machine)
    packages = [*PACKAGES, "accelerate"]
    output = Path(snakemake.output.adapter)
    base = hashing.read_hashes(snakemake.input.weights)
    shards = {name: snakemake.input[name] for name in ("train", "validation")}
    # All that decides the result; a checkpoint of anything else is of no use.
    fingerprint = hashing.fingerprint(
        {
            "settings": snakemake.params.settings,
            "code": snakemake.params.code,
            "base": base,
            "rows": {name: hashing.read_hashes(path) for name, path in shards.items()},
            "versions": manifest.versions(packages),
            "device": machine.device.split(":")[0],
            "dtype": str(machine.dtype),
        }
    )
    run = Path(snakemake.output.manifest).parent  # experiments/EXPERIMENT/seed-N
    job = Job(
        settings=settings,
        model=Path(snakemake.input.model),
        rows={name: Path(path).with_suffix("") for name, path in shards.items()},
        output=output,
        # No output: Snakemake would delete it where training was interrupted.
        checkpoints=run.parents[2] / "checkpoints" / run.parent.name / run.name,
        fingerprint=fingerprint,
        quantization_key=f"experiments.{snakemake.wildcards.experiment}.quantization",
        jobs_per_gpu=gpu_slots.jobs_per_gpu(getattr(snakemake.resources, "gpu_jobs", 1)),
    )
    train = setup if settings.training.gpus == 1 else launch.run
    trained = train(job, progress=terminal.progress, say=terminal.say)
    trained.losses.to_csv(snakemake.output.losses, index=False, lineterminator="\n")
    hashes = hashing.write_hashes(output, snakemake.output.hashes)
    manifest.write(
        snakemake.output.manifest,
        packages=packages,
        earlier=trained.used,
        settings=snakemake.params.settings,
        device=trained.device,
        dtype=trained.dtype,
        precision=trained.precision,
        base=base,
        hashes=hashes,
        **(published.facts(job.model) if settings.quantization == "as-published" else {}),
        **trained.figures,
    )
    checkpoints.Checkpoints(job.checkpoints, fingerprint).remove()

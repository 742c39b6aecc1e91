"""Quantize a base with GPTQ, calibrated on a task's training text."""

from deltatune.core import hashing, stage

with stage.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune.core import manifest
    from deltatune.models import device, gptq, quantization
    from deltatune.models.gptq_settings import QuantizeSettings
    from deltatune.models.load import PACKAGES
    from deltatune.tokens import ids, shards
    from deltatune.tokens.tokenizer import load_tokenizer

    settings = QuantizeSettings.from_params(snakemake.params.settings)
    quantization.require_gptq()
    # A fixed number of threads on every machine: it decides in which order numbers are added.
    machine = device.prepare(settings.seed, threads=2)
    folder, output = Path(snakemake.input.model), Path(snakemake.output.model)
    samples = gptq.calibration(
        shards.read_shards(Path(snakemake.input.calibration).with_suffix("")),
        settings.samples,
        ids.pad_id(load_tokenizer(folder)),
        settings.seed,
    )
    if len(samples) < settings.samples:
        terminal.say(
            f"models.{settings.model}.gptq.samples: there are {len(samples)} rows of "
            f"calibration text, not {settings.samples}"
        )
    facts = gptq.quantize(folder, samples, settings, machine, output)
    hashes = hashing.write_hashes(output, snakemake.output.weights)
    manifest.write(
        snakemake.output.manifest,
        packages=PACKAGES,
        settings=snakemake.params.settings,
        device=machine.device,
        base=hashing.read_hashes(snakemake.input.weights),
        hashes=hashes,
        **facts,
    )

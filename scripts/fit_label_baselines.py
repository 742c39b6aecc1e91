"""Labels by the plain baselines of a task, and their scores."""

from deltatune.core import stage

with stage.stage(snakemake):
    from deltatune.core import label_file
    from deltatune.evaluate.baselines import labels, run
    from deltatune.evaluate.baselines.settings import FitSettings
    from deltatune.tasks.registry import load_kind

    params = snakemake.params.settings
    kind = load_kind(params["kind"])
    settings = FitSettings[kind.Prompts, kind.Questions].from_params(params)
    split = snakemake.wildcards.split
    names = label_file.read(snakemake.input.labels)
    run.write(labels.BASELINES, snakemake.input, snakemake.output, settings, split, names)

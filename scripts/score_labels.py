"""Log-likelihood of every label after every text of one split of a task."""

from deltatune.core import stage

with stage.stage(snakemake, cached=True) as terminal:
    import pandas as pd
    from deltatune.core import label_file
    from deltatune.evaluate import label_likelihood, outputs, systems
    from deltatune.evaluate.label_likelihood_settings import LabelSettings
    from deltatune.tasks.base import labeled
    from deltatune.tasks.registry import load_kind
    from deltatune.tokens import context
    from deltatune.tokens.ids import text_ids

    params, output = snakemake.params.settings, snakemake.output
    kind = load_kind(params["kind"])
    settings = LabelSettings[kind.Prompts, kind.Questions].from_params(params)
    settings = labeled(kind, settings, label_file.read(snakemake.input.labels))
    context.check_folder(snakemake.input.model, settings.task, max_length=settings.max_length)
    records = pd.read_parquet(snakemake.input.records)
    questions = kind.questions(records, settings.prompts, settings.questions)
    prompts = questions["prompt"].tolist()
    system = systems.load(snakemake.input, settings, prompts, text_ids)
    model, tokenizer = system.model, system.tokenizer
    scored = label_likelihood.evaluate(model, tokenizer, kind, questions, settings, terminal)
    split = snakemake.wildcards.split
    outputs.write(scored, output.labels, output.manifest, settings, split, system)

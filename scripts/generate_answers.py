"""Generate the answers of a system to the prompts of a task."""

from deltatune.core import stage

with stage.stage(snakemake, cached=True) as terminal:
    import pandas as pd
    from deltatune.evaluate import generate, outputs, systems, vllm_engine
    from deltatune.evaluate.generate_settings import GenerateSettings
    from deltatune.tasks.registry import load_kind
    from deltatune.tokens import context

    params, output = snakemake.params.settings, snakemake.output
    kind = load_kind(params["kind"])
    settings = GenerateSettings[kind.Prompts, kind.Questions].from_params(params)
    context.check_folder(
        snakemake.input.model, settings.task, max_new_tokens=settings.max_new_tokens
    )
    records = pd.read_parquet(snakemake.input.records)
    questions = kind.questions(records, settings.prompts, settings.questions)
    prompts = questions["prompt"].tolist()
    if settings.backend == "vllm":
        system = vllm_engine.load(snakemake.input, settings)
    else:
        system = systems.load(snakemake.input, settings, prompts, generate.taken_ids)
    answered = generate.evaluate(system.model, system.tokenizer, questions, settings, terminal)
    split = snakemake.wildcards.split
    outputs.write(answered, output.answers, output.manifest, settings, split, system)

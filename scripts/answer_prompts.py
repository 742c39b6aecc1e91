"""Generate the answers of a system to the prompts of config.yaml."""

from deltatune.core import stage

with stage.stage(snakemake, cached=True) as terminal:
    from deltatune.core import label_file
    from deltatune.evaluate import generate, outputs, own_prompts, systems, vllm_engine
    from deltatune.evaluate.generate_settings import GenerateSettings
    from deltatune.tasks.base import labeled
    from deltatune.tasks.registry import load_kind

    params, output = snakemake.params.settings, snakemake.output
    kind = load_kind(params["kind"])
    settings = GenerateSettings[kind.Prompts, own_prompts.OwnPrompts].from_params(params)
    if kind.OUTPUTS == "labels":
        settings = labeled(kind, settings, label_file.read(snakemake.input.labels))
    questions = own_prompts.questions(settings.questions, kind, settings.prompts)
    prompts = questions["prompt"].tolist()
    if settings.backend == "vllm":
        system = vllm_engine.load(snakemake.input, settings)
    else:
        system = systems.load(snakemake.input, settings, prompts, generate.taken_ids)
    answered = generate.evaluate(system.model, system.tokenizer, questions, settings, terminal)
    answered.table.to_csv(output.table, index=False, lineterminator="\n")
    outputs.write(answered, output.answers, output.manifest, settings, None, system)

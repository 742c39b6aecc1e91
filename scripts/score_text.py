"""Log-likelihood of the text of one split of a task, by windows."""

from deltatune.core import stage

with stage.stage(snakemake, cached=True) as terminal:
    import pandas as pd
    from deltatune.evaluate import likelihood, outputs, systems
    from deltatune.evaluate.likelihood_settings import TextSettings
    from deltatune.tasks.registry import load_kind
    from deltatune.tokens import context
    from deltatune.tokens.ids import text_ids

    settings = TextSettings.from_params(snakemake.params.settings)
    output, split = snakemake.output, snakemake.wildcards.split
    context.check_folder(snakemake.input.model, settings.task, window=settings.context)
    passages = load_kind(settings.kind).passages(pd.read_parquet(snakemake.input.records))
    texts = [passage.text for passage in passages]
    system = systems.load(snakemake.input, settings, texts, text_ids)
    model, tokenizer = system.model, system.tokenizer
    scored = likelihood.evaluate(model, tokenizer, passages, settings, split, terminal)
    outputs.write(scored, output.text, output.manifest, settings, split, system)

"""Log-likelihood of every label after every text of one split of a task."""

from deltatune.core import stage

with stage.stage(snakemake, cached=True) as terminal:
    import pandas as pd
    from deltatune.core import manifest
    from deltatune.evaluate import handicap, label_likelihood, systems
    from deltatune.models import oom
    from deltatune.models.load import PACKAGES
    from deltatune.tasks.registry import load_kind
    from deltatune.tokens import labels

    settings = snakemake.params.settings
    machine, model, tokenizer = systems.load(snakemake.input, settings["quantization"])
    kind = load_kind(settings["kind"])
    asks = kind.Prompts.from_params(settings["prompts"])
    chosen = kind.Questions.from_params(settings["questions"])
    names, completions = asks.labels, kind.completions(asks)
    labels.check_distinct(names, completions, tokenizer, f"tasks.{settings['task']}.labels")
    questions = kind.questions(pd.read_parquet(snakemake.input.records), asks, chosen)

    def score(batch_size):
        """Log-likelihoods after the texts, and after prompts without content."""
        return [
            label_likelihood.score_completions(
                model,
                tokenizer,
                prompts,
                completions,
                max_length=settings["max_length"],
                batch_size=batch_size,
                progress=terminal.progress,
            )
            for prompts in (questions["prompt"].tolist(), kind.empty_prompts(asks))
        ]

    (scores, empty), batch_size = oom.evaluate(
        score,
        settings["evaluation"]["batch_size"],
        where=f"tasks.{settings['task']}.evaluation.batch_size",
        say=terminal.say,
    )
    table = label_likelihood.choose(questions, scores, empty, names)
    table.to_parquet(snakemake.output.labels, index=False)
    manifest.write(
        snakemake.output.manifest,
        packages=PACKAGES,
        settings=settings,
        split=snakemake.wildcards.split,
        device=machine.device,
        dtype=str(machine.dtype),
        batch_size_used=batch_size,
        examples=len(table),
        **handicap.label_figures(table),
    )

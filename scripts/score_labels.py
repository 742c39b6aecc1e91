"""Score every label after every test text of a task."""

from deltatune import runlog

with runlog.stage(snakemake) as terminal:
    import pandas as pd
    from deltatune import likelihood, manifest, systems, tasks

    settings = snakemake.params.settings
    machine, model, tokenizer = systems.load(snakemake.input, settings["quantisation"])
    kind = tasks.load(settings["kind"])
    questions = kind.questions(pd.read_parquet(snakemake.input.test), settings)

    def score(prompts):
        return likelihood.score_completions(
            model,
            tokenizer,
            prompts,
            kind.completions(settings),
            max_length=settings["max_length"],
            batch_size=settings["evaluation"]["batch_size"],
            progress=terminal.progress,
        )

    scores = score(questions["prompt"].tolist())
    names = kind.label_names(settings["labels"])
    table = likelihood.choose(questions, scores, score(kind.empty_prompts(settings)), names)
    table.to_parquet(snakemake.output.labels, index=False)
    manifest.write(
        snakemake.output.manifest,
        packages=systems.PACKAGES,
        settings=settings,
        device=machine.device,
        examples=len(table),
    )

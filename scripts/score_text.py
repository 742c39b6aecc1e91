"""Score the test text of a task, window by window."""

from deltatune import runlog

with runlog.stage(snakemake) as terminal:
    import pandas as pd
    from deltatune import fitting, likelihood, manifest, systems, tasks

    settings = snakemake.params.settings
    machine, model, tokenizer = systems.load(snakemake.input, settings["quantisation"])
    kind = tasks.load(settings["kind"])
    context = settings["evaluation"]["context"] or settings["max_length"]
    parts = [
        (chapter, window)
        for chapter, text in kind.texts(pd.read_parquet(snakemake.input.test))
        for window in likelihood.windows(text, tokenizer, context)
    ]

    def score(batch_size):
        return likelihood.score_windows(
            model,
            tokenizer,
            [window for _, window in parts],
            batch_size=batch_size,
            progress=terminal.progress,
        )

    nll, batch_size = fitting.evaluate(
        score,
        settings["evaluation"]["batch_size"],
        where=f"tasks.{settings['task']}.evaluation.batch_size",
        say=terminal.say,
    )
    table = pd.DataFrame(
        {
            "id": range(1, len(parts) + 1),
            "chapter": [chapter for chapter, _ in parts],
            "nll": nll,
            "tokens": [window.scored for _, window in parts],
            "words": [window.words for _, window in parts],
            "bytes": [window.bytes for _, window in parts],
        }
    )
    table.to_parquet(snakemake.output.text, index=False)
    manifest.write(
        snakemake.output.manifest,
        packages=systems.PACKAGES,
        settings=settings,
        device=machine.device,
        dtype=str(machine.dtype),
        batch_size_used=batch_size,
        windows=len(table),
        tokens=int(table["tokens"].sum()),
        bytes=int(table["bytes"].sum()),
    )

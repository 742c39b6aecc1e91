"""Log-likelihood of the text of one split of a task, by windows."""

from deltatune.core import stage

with stage.stage(snakemake, cached=True) as terminal:
    import pandas as pd
    from deltatune.core import manifest
    from deltatune.core.errors import UserError
    from deltatune.evaluate import likelihood, systems
    from deltatune.models import oom
    from deltatune.models.load import PACKAGES
    from deltatune.tasks.registry import load_kind

    settings, split = snakemake.params.settings, snakemake.wildcards.split
    machine, model, tokenizer = systems.load(snakemake.input, settings["quantization"])
    kind = load_kind(settings["kind"])
    chosen = settings["evaluation"]
    texts = [
        (passage, likelihood.windows(passage.text, tokenizer, chosen["context"], chosen["windows"]))
        for passage in kind.passages(pd.read_parquet(snakemake.input.records))
    ]
    parts = [(passage, window) for passage, windows in texts for window in windows]
    unscored = sum(not windows for _, windows in texts)
    if not parts:
        raise UserError(
            f"tasks.{settings['task']}: no text of the {split} split has a token that can be "
            "scored; give more text."
        )
    if unscored:
        terminal.say(
            f"tasks.{settings['task']}: {unscored} of {len(texts)} texts of the {split} split have "
            "one token, which has no context, and are not scored"
        )

    def score(batch_size):
        return likelihood.score_windows(
            model,
            tokenizer,
            [window for _, window in parts],
            batch_size=batch_size,
            progress=terminal.progress,
        )

    nll, batch_size = oom.evaluate(
        score,
        settings["evaluation"]["batch_size"],
        where=f"tasks.{settings['task']}.evaluation.batch_size",
        say=terminal.say,
    )
    table = pd.DataFrame(
        {
            "id": range(1, len(parts) + 1),
            "cluster": [passage.cluster for passage, _ in parts],
            "cluster_unit": [passage.cluster_unit for passage, _ in parts],
            "source_start": pd.array([passage.start for passage, _ in parts], dtype="Int64"),
            "source_end": pd.array([passage.end for passage, _ in parts], dtype="Int64"),
            "nll": nll,
            "tokens": [window.scored for _, window in parts],
            "words": [window.words for _, window in parts],
            "bytes": [window.bytes for _, window in parts],
        }
    )
    table.to_parquet(snakemake.output.text, index=False)
    manifest.write(
        snakemake.output.manifest,
        packages=PACKAGES,
        settings=settings,
        split=split,
        device=machine.device,
        dtype=str(machine.dtype),
        batch_size_used=batch_size,
        windows=len(table),
        texts=len(texts),
        unscored_texts=unscored,
        tokens=int(table["tokens"].sum()),
        bytes=int(table["bytes"].sum()),
    )

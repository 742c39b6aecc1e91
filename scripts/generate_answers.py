"""Generate the answers of a system to the prompts of one split of a task."""

from deltatune.core import stage

with stage.stage(snakemake, cached=True) as terminal:
    import pandas as pd
    from deltatune.core import manifest
    from deltatune.evaluate import generate, systems
    from deltatune.models import oom
    from deltatune.models.load import PACKAGES
    from deltatune.tasks.registry import load_kind
    from deltatune.tokens.answer_ids import readable

    settings = snakemake.params.settings
    machine, model, tokenizer = systems.load(snakemake.input, settings["quantization"])
    kind = load_kind(settings["kind"])
    asks = kind.Prompts.from_params(settings["prompts"])
    chosen = kind.Questions.from_params(settings["questions"])
    questions = kind.questions(pd.read_parquet(snakemake.input.records), asks, chosen)
    evaluation = settings["evaluation"]
    prompts = questions["prompt"].tolist()

    def answer(batch_size):
        return generate.answer(
            model,
            tokenizer,
            prompts,
            max_new_tokens=evaluation["max_new_tokens"],
            batch_size=batch_size,
            progress=terminal.progress,
        )

    answers, batch_size = oom.evaluate(
        answer,
        evaluation["batch_size"],
        where=f"tasks.{settings['task']}.evaluation.batch_size",
        say=terminal.say,
    )
    questions.assign(
        prompt=[readable(prompt, tokenizer) for prompt in prompts],
        answer=[a.text for a in answers],
        answer_tokens=[a.tokens for a in answers],
        finished=[a.finished for a in answers],
        prompt_tokens_cut=[a.cut for a in answers],
    ).to_parquet(snakemake.output.answers, index=False)
    manifest.write(
        snakemake.output.manifest,
        packages=PACKAGES,
        settings=settings,
        split=snakemake.wildcards.split,
        device=machine.device,
        dtype=str(machine.dtype),
        batch_size_used=batch_size,
        examples=len(answers),
        unfinished=sum(not a.finished for a in answers),
        empty=sum(not a.text.strip() for a in answers),
        prompts_cut=sum(a.cut > 0 for a in answers),
    )

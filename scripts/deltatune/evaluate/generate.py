"""Answers of a system to prompts, greedy or drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from deltatune.core.errors import UserError
from deltatune.core.terminal import Terminal
from deltatune.evaluate import outputs
from deltatune.evaluate.batches import (
    MULTIPLE,
    Batch,
    BatchRule,
    RowBytes,
    batch_rule,
    budgeted_batches,
    cache_bytes,
    each_alike,
    each_apart,
)
from deltatune.evaluate.decode import Decoder
from deltatune.evaluate.generate_settings import GenerateSettings
from deltatune.evaluate.outputs import Outputs
from deltatune.evaluate.sampling import SeededSampling
from deltatune.evaluate.vllm_engine import Engine
from deltatune.models.architecture import context_length, frequencies_change
from deltatune.models.probes import ask, ignores_padding
from deltatune.tasks.base import Sampling
from deltatune.tokens.answer_ids import (
    DECODING,
    prompt_ids,
    readable,
    refusal,
    stop_id,
    text_behind,
)
from deltatune.tokens.chat import name
from deltatune.tokens.ids import bos_ids, eos_id, pad_id, prefix_id
from deltatune.tokens.overflow import refuse
from deltatune.tokens.prompts import Conversation, Prompt, split_reasoning


@dataclass(frozen=True)
class Answer:
    """text: decoded without special tokens. tokens: how many were generated, eos not counted.
    finished: whether it ended with eos, or the end of a turn. cut: tokens by which the prompt was
    truncated to fit the context."""

    text: str
    tokens: int
    finished: bool
    cut: int


@torch.inference_mode()
def answer(
    model,
    tokenizer,
    prompts: list[Prompt],
    *,
    max_new_tokens: int,
    batch_size: int,
    row_bytes: RowBytes = each_alike,
    sampling: Sampling | None = None,
    keys: Sequence[Any] = (),
    decoder: Decoder | Engine | None = None,
    progress: Callable[[str], None] = print,
) -> list[Answer]:
    """Continue each prompt until eos or `max_new_tokens`; answers in the order of prompts.

    batch_size, row_bytes: of `batches.budgeted_batches`.

    sampling: None: greedily. keys: of the prompts, with sampling; the same key draws the same
    random numbers.

    In a chat an answer also ends with the token that ends a turn, as in training.

    A prompt that leaves no room for the answer in the model's context loses its first tokens,
    counted in `Answer.cut`. The last one always stays: where `max_new_tokens` is as much as the
    context, an answer gets what bos and that token leave.
    """
    bos, pad = bos_ids(tokenizer), pad_id(tokenizer)
    stops = sorted({eos_id(tokenizer), *(stop_id(prompt, tokenizer) for prompt in prompts)})
    context, room = context_length(model), _room(model, tokenizer, max_new_tokens)
    encoded = [ids[len(bos) :] for ids in prompt_ids(prompts, tokenizer)]
    # A model needs a token, also of an empty prompt that no bos stands before.
    kept = [bos + ids[-(room - len(bos)) :] or [prefix_id(tokenizer)] for ids in encoded]
    decoder = decoder or Decoder(model)
    answers: dict[int, Answer] = {}
    new = min(max_new_tokens, context - room)
    batches = _batches(model, [len(row) for row in kept], batch_size, row_bytes, room, new)
    for number, (batch, width) in enumerate((one.indices, one.width) for one in batches):
        rows = [kept[i] for i in batch]
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        generated = decoder.tokens(
            ids,
            mask,
            max_new_tokens=new,
            stops=stops,
            pad=pad,
            # With sampling the noise is a processor of the logits, see `SeededSampling`.
            noise=SeededSampling(sampling, [keys[i] for i in batch], width) if sampling else None,
        ).tolist()
        for i, tokens in zip(batch, generated, strict=True):
            last = next((n for n, token in enumerate(tokens) if token in stops), len(tokens))
            finished = last < len(tokens)
            tokens = tokens[:last]
            text = tokenizer.decode(tokens, **DECODING)
            text = text.removesuffix(text_behind(prompts[i], tokenizer))
            cut = max(0, len(bos) + len(encoded[i]) - len(kept[i]))
            answers[i] = Answer(text, len(tokens), finished, cut)
        progress(f"{len(answers)}/{len(prompts)} answers, batch {number + 1}/{len(batches)}")
    return [answers[i] for i in range(len(prompts))]


def taken_ids(prompts: Sequence[Prompt], tokenizer: Any) -> list[list[int]]:
    """`prompt_ids` of those that the model's chat template takes."""
    taken = [prompt for prompt in prompts if refusal(prompt, tokenizer) is None]
    return prompt_ids(taken, tokenizer)


def _room(model, tokenizer, max_new_tokens: int) -> int:
    """Tokens that a prompt can have, bos included."""
    return max(len(bos_ids(tokenizer)) + 1, context_length(model) - max_new_tokens)


def _on_gpu(model) -> bool:
    return model.device.type == "cuda"


def _batches(
    model, lengths: list[int], batch_size: int, row_bytes: RowBytes, room: int, new: int
) -> list[Batch]:
    """Prompts that are answered together: one where padding would change what a model answers, or
    where its rotary frequencies change within the answer, see `architecture.frequencies_change`.

    On a GPU their widths are few, so that a captured step serves many batches. new: tokens of an
    answer at most."""
    if isinstance(model, Engine):
        return [Batch(list(range(len(lengths))), max(lengths))]
    if not ask(model, ignores_padding):
        return budgeted_batches(lengths, 1, each_alike, multiple=1)
    limit, multiple = frequencies_change(model.config), MULTIPLE if _on_gpu(model) else 1
    places = range(len(lengths))
    long = [i for i in places if lengths[i] > limit]
    short = [i for i in places if lengths[i] + new <= limit]
    changing = sorted({*places} - {*long, *short})
    made = each_apart(
        [long, short],
        lengths,
        lambda some: budgeted_batches(some, batch_size, row_bytes, multiple=multiple, longest=room),
    )
    return made + [Batch([i], lengths[i]) for i in changing]


def _batch_rule(model, tokenizer, prompts: list[Prompt], settings: GenerateSettings) -> BatchRule:
    """`evaluation.batch_size` with `auto` resolved."""
    if isinstance(model, Engine):
        return BatchRule(len(prompts), each_alike, "vllm")
    if not ask(model, ignores_padding):
        return BatchRule(1, each_alike, "padding")
    token, room = cache_bytes(model.config), _room(model, tokenizer, settings.max_new_tokens)
    new = min(settings.max_new_tokens, context_length(model) - room)
    return batch_rule(
        settings.batch_size,
        lambda: [min(room, len(ids)) for ids in prompt_ids(prompts, tokenizer)],
        lambda width: token * (width + new),
        on_gpu=_on_gpu(model),
        longest=room,
    )


def _refuse_long(model, tokenizer, questions: pd.DataFrame, settings: GenerateSettings) -> None:
    """Raise UserError where a prompt would be cut."""
    room = _room(model, tokenizer, settings.max_new_tokens)
    lengths = map(len, prompt_ids(questions["prompt"].tolist(), tokenizer))
    too_long = {number: length for number, length in enumerate(lengths) if length > room}
    limit = (
        f"the model's context leaves for a prompt ({room:,} tokens beside "
        f"evaluation.max_new_tokens, {settings.max_new_tokens:,})"
    )
    refuse(too_long, questions["id"].tolist(), f"tasks.{settings.task}: prompts", limit)


def evaluate(
    model, tokenizer, questions: pd.DataFrame, settings: GenerateSettings, terminal: Terminal
) -> Outputs:
    """The questions of a task with prompt (as text), answer, answer_tokens, finished and
    prompt_tokens_cut; of conversations also reasoning, which is no part of the answer.

    Questions that the model's chat template refuses are not asked, and named in the figures. Raises
    UserError for prompts that are too long, where the settings say so.
    """
    questions, refused = _asked(questions, tokenizer, settings.task, terminal.say)
    if settings.refuses_long_prompts:
        _refuse_long(model, tokenizer, questions, settings)
    prompts = questions["prompt"].tolist()
    rule = _batch_rule(model, tokenizer, prompts, settings)

    def run(batch_size: int) -> tuple[list[Answer], Decoder | Engine]:
        decoder = model if isinstance(model, Engine) else Decoder(model, terminal.say)
        answers = answer(
            model,
            tokenizer,
            prompts,
            max_new_tokens=settings.max_new_tokens,
            batch_size=batch_size,
            row_bytes=rule.row_bytes,
            sampling=settings.sampling,
            keys=questions["id"].tolist(),
            decoder=decoder,
            progress=terminal.progress,
        )
        return answers, decoder

    (answers, decoder), batch_size = outputs.compute(run, rule.batch_size, settings, terminal.say)
    table = questions.assign(
        prompt=[readable(prompt, tokenizer) for prompt in questions["prompt"]],
        answer=[a.text for a in answers],
        answer_tokens=[a.tokens for a in answers],
        finished=[a.finished for a in answers],
        prompt_tokens_cut=[a.cut for a in answers],
    )
    if any(isinstance(prompt, Conversation) for prompt in questions["prompt"]):
        # The templates of some thinking models open the block themselves.
        opened = table["prompt"].str.rstrip().str.endswith("<think>")
        texts = ["<think>" * o + a.text for o, a in zip(opened, answers, strict=True)]
        parts = [split_reasoning(text) for text in texts]
        table = table.assign(reasoning=[p[0] for p in parts], answer=[p[1] for p in parts])
    figures = {
        "batch_size_used": batch_size,
        "batch_size_from": rule.source,
        "batch_shapes": dict(decoder.shapes),
        "captured_batches": decoder.captured,
        "examples": len(answers),
        "unfinished": sum(not a.finished for a in answers),
        "empty": int((table["answer"].str.strip() == "").sum()),
        "prompts_cut": sum(a.cut > 0 for a in answers),
        "not_asked": len(refused),
        "not_asked_records": refused,
    }
    return Outputs(table, figures)


def _asked(
    questions: pd.DataFrame, tokenizer: Any, task: str, say: Callable[[str], None]
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """The questions that the chat template takes, and record and reason of each other.

    Raises UserError where it takes none.
    """
    reasons = [refusal(prompt, tokenizer) for prompt in questions["prompt"]]
    refused = [
        {"record": record, "reason": reason}
        for record, reason in zip(questions["id"].tolist(), reasons, strict=True)
        if reason is not None
    ]
    if not refused:
        return questions, refused
    example = refused[0]
    what = (
        f"tasks.{task}: {len(refused)} of {len(questions)} questions are refused by the chat "
        f"template of {name(tokenizer)} (record {example['record']}: {example['reason']})"
    )
    if len(refused) == len(questions):
        raise UserError(
            f"{what}. Choose another model, or bring the conversations into the form that it takes."
        )
    say(f"{what} and are not asked; the manifest names them all.")
    return questions[[reason is None for reason in reasons]], refused

"""Log-likelihoods of labels under a system, and the label that it chooses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from deltatune.core.errors import UserError
from deltatune.core.terminal import Terminal
from deltatune.evaluate import handicap, outputs
from deltatune.evaluate.batches import batches_by_length
from deltatune.evaluate.label_likelihood_settings import LabelSettings
from deltatune.evaluate.outputs import Outputs
from deltatune.models import oom
from deltatune.models.probes import FIRST, SECOND, ask, same
from deltatune.tasks.base import LabelKind
from deltatune.tokens.ids import bos_ids, pad_id, prefix_id, text_ids
from deltatune.tokens.labels import check_distinct, label_ids, nested
from deltatune.tokens.overflow import refuse
from deltatune.tokens.prompts import Body
from deltatune.tokens.shortening import shortened


@dataclass(frozen=True)
class LabelScores:
    """Log-likelihoods of labels after prompts, in nats."""

    ended: np.ndarray
    """float64 [prompts, labels]: of the label and the token that ends it, as it is trained."""
    label: np.ndarray
    """float64 [prompts, labels]: of the label's own tokens, whatever follows them."""
    nested: np.ndarray
    """bool [labels]: the label begins with all tokens of another one."""


@torch.inference_mode()
def score_completions(
    model,
    tokenizer,
    prompts: list[str],
    completions: list[str],
    *,
    bodies: Sequence[Body | None] | None = None,
    max_length: int,
    batch_size: int,
    progress: Callable[[str], None] = print,
) -> LabelScores:
    """Log-likelihood of every completion after every prompt.

    A completion is scored with the token that ends it, as training has it. Without the end a label
    whose tokens begin another label ("1" and "10") would be at least as likely as that one whatever
    the text, and a model that was tuned on both could never choose the longer one.

    The prompt is computed once and its key-value cache shared by all completions, where the model
    allows that, see `shares_cache`; else each prompt with each completion. A prompt longer
    than the room that max_length leaves is shortened as in training, see `shortening`; bodies:
    where in each the text of its record stands. Raises UserError where the longest completion
    leaves no room for a token of the prompt.
    """
    bos = bos_ids(tokenizer)
    ends = label_ids(completions, tokenizer)
    longest = max(map(len, ends))
    room = _room(completions, tokenizer, max_length)
    texts = zip(text_ids(prompts, tokenizer), prompts, bodies or [None] * len(prompts), strict=True)
    encoded = [bos + shortened(*text, room, tokenizer) for text in texts]
    # A prompt without content may be empty.
    encoded = [ids or [prefix_id(tokenizer)] for ids in encoded]
    pad = pad_id(tokenizer)
    end_ids = torch.tensor([e + [pad] * (longest - len(e)) for e in ends]).to(model.device)
    lengths = torch.tensor([len(e) for e in ends]).to(model.device)
    scores = np.zeros((2, len(prompts), len(completions)))
    done = 0
    score = _score_shared if ask(model, shares_cache) else _score_whole
    for batch in batches_by_length([len(ids) for ids in encoded], batch_size):
        scores[:, batch] = score(model, [encoded[i] for i in batch], end_ids, lengths, pad)
        done += len(batch)
        progress(f"{done}/{len(prompts)} texts")
    return LabelScores(ended=scores[0], label=scores[1], nested=np.array(nested(ends)))


def _room(completions: Sequence[str], tokenizer, max_length: int) -> int:
    """Tokens that a prompt can have, bos apart. Raises UserError where that is none."""
    ends = label_ids(completions, tokenizer)
    longest = max(map(len, ends))
    room = max_length - len(bos_ids(tokenizer)) - longest
    if room < 1:
        raise UserError(
            f"max_length: {max_length} tokens leave no room for a text beside the label "
            f"'{completions[ends.index(max(ends, key=len))].strip()}' ({longest} tokens with its "
            "end); raise it or shorten the label."
        )
    return room


def _too_long(
    prompts: list[str], completions: Sequence[str], tokenizer, max_length: int
) -> dict[int, int]:
    """Number of a prompt that is cut -> its tokens with bos and the longest label."""
    room = _room(completions, tokenizer, max_length)
    lengths = enumerate(map(len, text_ids(prompts, tokenizer)))
    return {n: length + max_length - room for n, length in lengths if length > room}


def shares_cache(model) -> bool:
    """Whether completions that share the cache of a padded prompt are as likely as after the prompt
    itself: a question for `probes.ask`."""
    end_ids = torch.tensor([[7, 18, 9], [11, 12, 0]], device=model.device)
    arguments = ([FIRST, SECOND], end_ids, torch.tensor([3, 2], device=model.device), 0)
    whole = _score_whole(model, *arguments)
    try:
        shared = _score_shared(model, *arguments)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        # Caches differ in what they lack: a method, its argument, a dimension.
        if oom.out_of_memory(error):
            raise
        return False
    return same(torch.from_numpy(shared), torch.from_numpy(whole), model)


@torch.inference_mode()
def _score_whole(model, rows: list[list[int]], end_ids, lengths, pad: int) -> np.ndarray:
    """The same as `_score_shared`, from each prompt with each completion, padded on the right."""
    count, longest = end_ids.shape
    width = max(map(len, rows)) + longest - 1
    scores = torch.zeros(2, len(rows), count, dtype=torch.float64)
    for n, row in enumerate(rows):
        inputs = torch.full((count, width), pad, device=model.device)
        inputs[:, : len(row)] = torch.tensor(row, device=model.device)
        inputs[:, len(row) : len(row) + longest - 1] = end_ids[:, :-1]
        logits = model(input_ids=inputs, use_cache=False).logits[:, len(row) - 1 :][:, :longest]
        logs = logits.float().log_softmax(-1).gather(2, end_ids[..., None]).squeeze(2).double()
        scores[:, n] = _totals(logs, lengths).cpu()
    return scores.numpy()


def _totals(logs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """[2, ..., completions] of the log-likelihoods of their tokens [..., completions, longest]:
    with the end and without."""
    places = torch.arange(logs.shape[-1], device=logs.device)
    stops = lengths[:, None]
    return torch.stack([logs.masked_fill(places >= stop, 0).sum(-1) for stop in (stops, stops - 1)])


@torch.inference_mode()
def _score_shared(model, rows: list[list[int]], end_ids, lengths, pad: int) -> np.ndarray:
    """[2, rows, completions]: with the end and without.

    Prompts are padded on the left, completions on the right. end_ids: [completions, longest];
    lengths: [completions], ends included.
    """
    count, longest = end_ids.shape
    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows]).to(model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    mask = mask.to(model.device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        use_cache=True,
        **_last_logits(model),
    )
    first_logs = out.logits[:, -1].float().log_softmax(-1)[:, end_ids[:, 0]].double()
    cache = out.past_key_values
    cache.batch_repeat_interleave(count)
    places = torch.arange(longest, device=model.device)
    end_mask = (places < lengths[:, None]).long()
    ends = end_ids.repeat(len(rows), 1)
    next_position = positions[:, -1:].repeat_interleave(count, 0) + 1
    # What the last token of a completion predicts is not scored.
    inputs_mask = end_mask[:, :-1].repeat(len(rows), 1)
    logits = model(
        input_ids=ends[:, :-1],
        attention_mask=torch.cat([mask.repeat_interleave(count, 0), inputs_mask], dim=1),
        position_ids=next_position + places[:-1],
        past_key_values=cache,
        use_cache=True,
    ).logits.float()
    rest = logits.log_softmax(-1).gather(2, ends[:, 1:, None]).squeeze(2).double()
    logs = torch.cat([first_logs[..., None], rest.view(len(rows), count, longest - 1)], dim=2)
    return _totals(logs, lengths).cpu().numpy()


def _last_logits(model) -> dict[str, int]:
    """The argument for logits of the last position only, where the model has one."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    parameters = inspect.signature(inner.forward).parameters
    return {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}


def choose(
    questions: pd.DataFrame, scores: LabelScores, empty: LabelScores, labels: list[str]
) -> pd.DataFrame:
    """The likeliest label of each text, uncalibrated and calibrated.

    questions: id, prompt, text, label; all its columns but the prompt stay. scores: after the
    texts; empty: after prompts without content; contextual calibration divides by their mean
    probability, the system's bias towards a label (Zhao et al. 2021, "Calibrate Before Use"). Both
    count the end of a label.

    logprobs and logprobs_label are lists in the order of the labels, with and without their ends.
    label_mass is the probability that one of the labels follows and ends, label_mass_without_end
    that the system's answer begins with one.
    """
    # In logarithms: a long label can be too unlikely for a float. The constant of the mean is left
    # out, since it is the same for all labels.
    prior = np.logaddexp.reduce(empty.ended, axis=0)
    names = np.array(labels, dtype=object)
    # An answer that begins with a nested label begins with the shorter one too: counted once.
    begins = scores.label[:, ~scores.nested]
    return questions.loc[:, questions.columns != "prompt"].assign(
        predicted=names[scores.ended.argmax(axis=1)],
        predicted_calibrated=names[(scores.ended - prior).argmax(axis=1)],
        logprobs=list(scores.ended),
        logprobs_label=list(scores.label),
        label_mass=np.exp(scores.ended).sum(axis=1),
        label_mass_without_end=np.exp(begins).sum(axis=1),
    )


def evaluate(
    model,
    tokenizer,
    kind: LabelKind,
    questions: pd.DataFrame,
    settings: LabelSettings,
    terminal: Terminal,
) -> Outputs:
    """The questions of a task with what `choose` adds. Raises UserError where two labels cannot be
    told apart, or leave no room for a text."""
    labels, completions = settings.prompts.labels, kind.completions(settings.prompts)
    check_distinct(labels, completions, tokenizer, f"tasks.{settings.task}.labels")
    asked = questions["prompt"].tolist()
    too_long = _too_long(asked, completions, tokenizer, settings.max_length)
    if settings.refuses_long_prompts:
        limit = f"tasks.{settings.task}.max_length ({settings.max_length:,} tokens)"
        refuse(too_long, questions["id"].tolist(), f"tasks.{settings.task}: prompts", limit)
    # After the texts, and after prompts without content.
    prompts = [
        (asked, kind.bodies(questions, settings.prompts)),
        (kind.empty_prompts(settings.prompts), None),
    ]
    (scores, empty), batch_size = outputs.compute(
        lambda batch_size: [
            score_completions(
                model,
                tokenizer,
                texts,
                completions,
                bodies=bodies,
                max_length=settings.max_length,
                batch_size=batch_size,
                progress=terminal.progress,
            )
            for texts, bodies in prompts
        ],
        settings.batch_size,
        settings,
        terminal.say,
    )
    table = choose(questions, scores, empty, labels)
    counts = {"batch_size_used": batch_size, "examples": len(table), "prompts_cut": len(too_long)}
    return Outputs(table, counts | handicap.label_figures(table))

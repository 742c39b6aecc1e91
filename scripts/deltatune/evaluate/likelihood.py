"""Log-likelihoods of texts and of labels under a system."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch

from deltatune.core.errors import UserError
from deltatune.evaluate.batches import batches_by_length
from deltatune.tokens.ids import bos_ids, eos_id, pad_id, text_ids
from deltatune.tokens.labels import label_ids, nested

Scheme = Literal["sliding", "lm_eval"]
"""How a text is cut into windows, see `windows`."""


@dataclass(frozen=True)
class Window:
    """Tokens of a text, the last of which are scored.

    ids: all tokens, bos included. scored: how many at the end are scored. words, bytes: of the
    scored part of the original text.
    """

    ids: list[int]
    scored: int
    words: int
    bytes: int


def windows(text: str, tokenizer, context: int, scheme: Scheme = "sliding") -> list[Window]:
    """Windows over a text, each the input of one forward pass; every token is scored once.

    scheme "sliding": the stride is half the context, so that each scored token but the first ones
    has at least that much before it. bos stands first in every window, no eos is added. Without a
    bos the first token has nothing before it and is not scored; a text of that token alone has no
    window, which the caller counts.

    scheme "lm_eval": as lm-evaluation-harness computes a rolling log-likelihood (its
    `get_rolling_token_windows` with context_len 1, then `make_disjoint_window`). bos, or eos where
    there is none, stands before the text alone. `context` tokens are scored in each window, the
    first of them after one token; the last window scores what remains and reads all of the context
    before it.

    The scored parts add up to the text, byte for byte.
    """
    encoded = tokenizer(
        text,
        add_special_tokens=False,
        split_special_tokens=True,
        return_offsets_mapping=True,
        verbose=False,
    )
    ids, offsets = encoded["input_ids"], [start for start, _ in encoded["offset_mapping"]]
    if not ids:
        return []
    layout = _sliding if scheme == "sliding" else _rolling
    parts = []
    for start, stop, window in layout(ids, tokenizer, context):
        begin = offsets[start] if start else 0
        end = offsets[stop] if stop < len(ids) else len(text)
        part = text[begin:end]
        # A word belongs to the part that it begins in.
        words = len(part.split())
        if part and begin and not part[0].isspace() and not text[begin - 1].isspace():
            words -= 1
        parts.append(
            Window(
                ids=window,
                scored=stop - start,
                words=words,
                bytes=len(part.encode("utf-8")),
            )
        )
    return parts


def _sliding(ids: list[int], tokenizer, context: int) -> Iterator[tuple[int, int, list[int]]]:
    """(start, stop, window): ids[start:stop] are scored, the last ones of the window."""
    bos = bos_ids(tokenizer)
    size = context - len(bos)
    # Without a bos the first token has nothing before it and cannot be scored.
    edges = [0 if bos else 1, *range(size, len(ids), max(1, context // 2)), len(ids)]
    for start, stop in itertools.pairwise(edges):
        if start < stop:
            yield start, stop, bos + ids[max(0, stop - size) : stop]


def _rolling(ids: list[int], tokenizer, context: int) -> Iterator[tuple[int, int, list[int]]]:
    """The same as in lm-evaluation-harness: a window has context + 1 tokens, the last of which is
    only predicted."""
    row = [*(bos_ids(tokenizer) or [eos_id(tokenizer)]), *ids]
    for start in range(0, len(ids), context):
        stop = min(start + context, len(ids))
        yield start, stop, row[max(0, stop - context) : stop + 1]


@torch.inference_mode()
def score_windows(
    model,
    tokenizer,
    parts: list[Window],
    *,
    batch_size: int,
    progress: Callable[[str], None] = print,
) -> np.ndarray:
    """Negative log-likelihood of the scored tokens of each window: float64 [windows], nats."""
    pad = pad_id(tokenizer)
    totals = np.zeros(len(parts))
    done = 0
    for batch in batches_by_length([len(part.ids) for part in parts], batch_size):
        width = max(len(parts[i].ids) for i in batch)
        # Padding on the right, where causal attention does not reach it.
        ids = torch.tensor([parts[i].ids + [pad] * (width - len(parts[i].ids)) for i in batch])
        # Nothing is predicted from the last token.
        inputs = ids[:, :-1].to(model.device)
        logits = model(input_ids=inputs, use_cache=False).logits
        for row, i in enumerate(batch):
            stop = len(parts[i].ids)
            start = stop - parts[i].scored
            target = ids[row, start:stop].to(logits.device)
            # A row at a time in float64: what rounding adds to each token adds up over a text.
            predicted = logits[row, start - 1 : stop - 1].double()
            nll = torch.nn.functional.cross_entropy(predicted, target, reduction="sum")
            totals[i] = nll.item()
        done += len(batch)
        progress(f"{done}/{len(parts)} windows")
    return totals


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
    max_length: int,
    batch_size: int,
    progress: Callable[[str], None] = print,
) -> LabelScores:
    """Log-likelihood of every completion after every prompt.

    A completion is scored with the token that ends it, as training has it. Without the end a label
    whose tokens begin another label ("1" and "10") would be at least as likely as that one whatever
    the text, and a model that was tuned on both could never choose the longer one.

    The prompt is computed once and its key-value cache shared by all completions. A prompt longer
    than the room that max_length leaves loses its first tokens, as in training. Raises UserError
    where the longest completion leaves no room for a token of the prompt.
    """
    bos = bos_ids(tokenizer)
    ends = label_ids(completions, tokenizer)
    longest = max(map(len, ends))
    room = max_length - len(bos) - longest
    if room < 1:
        raise UserError(
            f"max_length: {max_length} tokens leave no room for a text beside the label "
            f"'{completions[ends.index(max(ends, key=len))].strip()}' ({longest} tokens with its "
            "end); raise it or shorten the label."
        )
    encoded = [bos + ids[-room:] for ids in text_ids(prompts, tokenizer)]
    # A prompt without content may be empty. Without a bos, eos stands before a document.
    encoded = [ids or [eos_id(tokenizer)] for ids in encoded]
    pad = pad_id(tokenizer)
    end_ids = torch.tensor([e + [pad] * (longest - len(e)) for e in ends]).to(model.device)
    lengths = torch.tensor([len(e) for e in ends]).to(model.device)
    scores = np.zeros((2, len(prompts), len(completions)))
    done = 0
    for batch in batches_by_length([len(ids) for ids in encoded], batch_size):
        scores[:, batch] = _score_batch(model, [encoded[i] for i in batch], end_ids, lengths, pad)
        done += len(batch)
        progress(f"{done}/{len(prompts)} texts")
    return LabelScores(ended=scores[0], label=scores[1], nested=np.array(nested(ends)))


def _score_batch(model, rows: list[list[int]], end_ids, lengths, pad: int) -> np.ndarray:
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
    stops = lengths[:, None]
    scores = [logs.masked_fill(places >= stop, 0).sum(2) for stop in (stops, stops - 1)]
    return torch.stack(scores).cpu().numpy()


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

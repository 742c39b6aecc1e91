"""Log-likelihoods of labels under a system, and the label that it chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from deltatune.core.errors import UserError
from deltatune.core.terminal import Terminal
from deltatune.evaluate import handicap, outputs
from deltatune.evaluate.batches import Batch
from deltatune.evaluate.label_likelihood_settings import LabelSettings
from deltatune.evaluate.label_passes import LabelReader
from deltatune.evaluate.outputs import Outputs
from deltatune.tasks.base import BatchSize, LabelKind
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
    in_one_pass: int = 0
    """Prompts that one forward pass read with their labels, see `label_passes`."""

    def of(self, prompts: slice) -> LabelScores:
        """Those of some of the prompts."""
        return replace(self, ended=self.ended[prompts], label=self.label[prompts])


def score_completions(
    model,
    tokenizer,
    prompts: list[str],
    completions: list[str],
    *,
    bodies: Sequence[Body | None] | None = None,
    max_length: int,
    batch_size: BatchSize,
    progress: Callable[[str], None] = print,
) -> LabelScores:
    """Log-likelihood of every completion after every prompt.

    A completion is scored with the token that ends it, as training has it. Without the end a label
    whose tokens begin another label ("1" and "10") would be at least as likely as that one whatever
    the text, and a model that was tuned on both could never choose the longer one.

    A prompt longer than the room that max_length leaves is shortened as in training, see
    `shortening`; bodies: where in each the text of its record stands. Raises UserError where the
    longest completion leaves no room for a token of the prompt.
    """
    ends = label_ids(completions, tokenizer)
    room = _room(completions, ends, tokenizer, max_length)
    rows = _rows(prompts, text_ids(prompts, tokenizer), bodies, room, tokenizer)
    reader = LabelReader(model, ends, pad_id(tokenizer))
    rule = reader.batch_rule(rows, batch_size)
    return _score(reader, rows, reader.batches(rows, rule), nested(ends), progress)


def _rows(
    prompts: Sequence[str],
    encoded: Sequence[list[int]],
    bodies: Sequence[Body | None] | None,
    room: int,
    tokenizer,
) -> list[list[int]]:
    """Ids of each prompt, bos included. encoded: the same without it, and not shortened."""
    bos = bos_ids(tokenizer)
    texts = zip(encoded, prompts, bodies or [None] * len(prompts), strict=True)
    rows = [bos + shortened(*text, room, tokenizer) for text in texts]
    # A prompt without content may be empty.
    return [ids or [prefix_id(tokenizer)] for ids in rows]


@torch.inference_mode()
def _score(
    reader: LabelReader,
    rows: list[list[int]],
    batches: list[Batch],
    is_nested: Sequence[bool],
    progress: Callable[[str], None],
) -> LabelScores:
    order, scores, in_one_pass = [], [], 0
    for batch in batches:
        some = [rows[i] for i in batch.indices]
        scores.append(reader.scores(some, batch.width))
        in_one_pass += len(some) * reader.in_one_pass(some)
        order += batch.indices
        progress(f"{len(order)}/{len(rows)} texts")
    # One transfer from a GPU, which would wait for the processor after each batch.
    ended, label = torch.cat(scores, 1)[:, np.argsort(order)].cpu().numpy()
    return LabelScores(ended, label, np.array(is_nested), in_one_pass)


def _room(
    completions: Sequence[str], ends: Sequence[Sequence[int]], tokenizer, max_length: int
) -> int:
    """Tokens that a prompt can have, bos apart. ends: ids of the completions. Raises UserError
    where that is none."""
    longest = max(map(len, ends))
    room = max_length - len(bos_ids(tokenizer)) - longest
    if room < 1:
        raise UserError(
            f"max_length: {max_length} tokens leave no room for a text beside the label "
            f"'{completions[ends.index(max(ends, key=len))].strip()}' ({longest} tokens with its "
            "end); raise it or shorten the label."
        )
    return room


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
    # After the texts, and after prompts without content.
    asked, empty = questions["prompt"].tolist(), kind.empty_prompts(settings.prompts)
    bodies = [*kind.bodies(questions, settings.prompts), *[None] * len(empty)]
    ends, encoded = label_ids(completions, tokenizer), text_ids(asked + empty, tokenizer)
    room = _room(completions, ends, tokenizer, settings.max_length)
    # With bos and the longest label.
    lengths = [len(ids) + settings.max_length - room for ids in encoded[: len(asked)]]
    too_long = {n: length for n, length in enumerate(lengths) if length > settings.max_length}
    if settings.refuses_long_prompts:
        limit = f"tasks.{settings.task}.max_length ({settings.max_length:,} tokens)"
        refuse(too_long, questions["id"].tolist(), f"tasks.{settings.task}: prompts", limit)
    rows = _rows(asked + empty, encoded, bodies, room, tokenizer)
    reader = LabelReader(model, ends, pad_id(tokenizer))
    rule = reader.batch_rule(rows, settings.batch_size)

    def run(batch_size: int) -> tuple[LabelScores, float]:
        batches = reader.batches(rows, rule._replace(batch_size=batch_size))
        scores = _score(reader, rows, batches, nested(ends), terminal.progress)
        return scores, reader.padding_share(rows, batches)

    (scores, padding), batch_size = outputs.compute(run, rule.batch_size, settings, terminal.say)
    texts, contentless = scores.of(slice(len(asked))), scores.of(slice(len(asked), None))
    table = choose(questions, texts, contentless, labels)
    counts = {
        "batch_size_used": batch_size,
        "batch_size_from": rule.source,
        "padding_share": padding,
        "in_one_pass": scores.in_one_pass,
        "examples": len(table),
        "prompts_cut": len(too_long),
    }
    return Outputs(table, counts | handicap.label_figures(table))

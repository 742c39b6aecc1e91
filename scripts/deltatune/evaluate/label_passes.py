"""The forward passes that give the log-likelihoods of labels: as few as the model allows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch

from deltatune.evaluate import label_tree
from deltatune.evaluate.batches import (
    Batch,
    BatchRule,
    batch_rule,
    forward_bytes,
    logits_bytes,
)
from deltatune.evaluate.scoring_batches import padding_share, scoring_batches
from deltatune.models.architecture import attention_window
from deltatune.models.logits import last_output
from deltatune.models.probes import FIRST, SECOND, ask, same
from deltatune.tasks.base import BatchSize


class LabelReader:
    """Reads labels behind batches of prompts.

    One pass reads prompts and labels, see `label_tree`. Where a model does not take its mask, or
    sees less than a whole row, prompts are computed once and their key-value cache is shared by all
    labels; where it does not allow that either, each prompt is read with each label. Which it is
    follows from the base, the labels and the prompts, so base and tuned are treated alike.
    """

    def __init__(self, model: Any, labels: Sequence[Sequence[int]], pad: int) -> None:
        """labels: ids of each, with its end."""
        self._model, self._pad = model, pad
        longest = self._longest = max(map(len, labels))
        ids = [[*label, *[pad] * (longest - len(label))] for label in labels]
        self._ids = torch.tensor(ids).to(model.device)
        self._lengths = torch.tensor([len(label) for label in labels]).to(model.device)
        self._tree = label_tree.label_tree(labels, model.device)

    def batch_rule(self, rows: list[list[int]], batch_size: BatchSize) -> BatchRule:
        """batch_size: `evaluation.batch_size` of the task."""
        config = self._model.config
        token, logits = forward_bytes(config), (self._tree.nodes + 1) * logits_bytes(config)
        return batch_rule(
            batch_size,
            lambda: self._widths(rows),
            lambda width: token * width + logits,
            on_gpu=self._model.device.type == "cuda",
        )

    def batches(self, rows: list[list[int]], rule: BatchRule) -> list[Batch]:
        """Rows that are scored in one pass, whose widths are those of prompts and labels."""
        longest = attention_window(self._model)
        config, beside = self._model.config, self._tree.nodes - self._longest + 1
        return scoring_batches(self._widths(rows), rule, config, longest, beside)

    def padding_share(self, rows: list[list[int]], batches: list[Batch]) -> float:
        """Of the tokens of `batches`."""
        return padding_share(batches, self._widths(rows))

    def _widths(self, rows: list[list[int]]) -> list[int]:
        """Tokens of each prompt and of all labels behind it."""
        return [len(row) + self._tree.nodes for row in rows]

    @cached_property
    def _most(self) -> int:
        """Tokens of a row that is read in one pass."""
        return attention_window(self._model) if ask(self._model, reads_label_trees) else 0

    def in_one_pass(self, rows: list[list[int]]) -> bool:
        """Whether prompts and labels are read in one pass."""
        return max(map(len, rows)) + self._tree.nodes <= self._most

    def scores(self, rows: list[list[int]], width: int) -> torch.Tensor:
        """float64 [2, rows, labels] on the device of the model: with the end of each label and
        without. rows: prompts, of at least one token. width: of their batch."""
        model, pad, width = self._model, self._pad, width - self._tree.nodes
        if self.in_one_pass(rows):
            logs = label_tree.log_likelihoods(model, rows, width, self._tree, pad)
        elif ask(model, shares_cache):
            logs = with_shared_cache(model, rows, width, self._ids, self._lengths, pad)
        else:
            logs = each_with_its_prompt(model, rows, width, self._ids, pad)
        places = torch.arange(logs.shape[-1], device=logs.device)
        stops = self._lengths[:, None], self._lengths[:, None] - 1
        return torch.stack([logs.masked_fill(places >= stop, 0).sum(-1) for stop in stops])


# ---------------------------------------------------------------- questions for `probes.ask`

#: Ids of labels with their ends, two of which begin alike.
_LABELS = ([7, 18, 9], [11, 12], [7, 30, 22, 9])
_WIDTH = max(len(FIRST), len(SECOND))


def reads_label_trees(model: Any) -> bool:
    """Whether labels in a tree behind a padded prompt are as likely as after the prompt itself."""
    tree = label_tree.label_tree(_LABELS, model.device)
    logs = label_tree.log_likelihoods(model, [FIRST, SECOND], _WIDTH, tree, 0)
    return _same(logs, model)


def shares_cache(model: Any) -> bool:
    """Whether labels that share the cache of a padded prompt are as likely as after the prompt
    itself."""
    ids = _padded(model)
    lengths = torch.tensor([len(label) for label in _LABELS], device=model.device)
    return _same(with_shared_cache(model, [FIRST, SECOND], _WIDTH, ids, lengths, 0), model)


def _padded(model: Any) -> torch.Tensor:
    longest = max(map(len, _LABELS))
    rows = [[*label, *[0] * (longest - len(label))] for label in _LABELS]
    return torch.tensor(rows, device=model.device)


def _same(logs: torch.Tensor, model: Any) -> bool:
    whole = each_with_its_prompt(model, [FIRST, SECOND], _WIDTH, _padded(model), 0)
    counted = [logs[:, n, : len(label)] for n, label in enumerate(_LABELS)]
    known = [whole[:, n, : len(label)] for n, label in enumerate(_LABELS)]
    return same(torch.cat(counted, 1), torch.cat(known, 1), model)


# ---------------------------------------------------------------- other ways than the tree


@torch.inference_mode()
def each_with_its_prompt(
    model: Any, rows: list[list[int]], width: int, ids: torch.Tensor, pad: int
) -> torch.Tensor:
    """The same as `with_shared_cache`, from each prompt with each label, padded on the right."""
    count, longest = ids.shape
    logs = []
    for row in rows:
        inputs = torch.full((count, width + longest - 1), pad, device=model.device)
        inputs[:, : len(row)] = torch.tensor(row, device=model.device)
        inputs[:, len(row) : len(row) + longest - 1] = ids[:, :-1]
        logits = model(input_ids=inputs, use_cache=False).logits[:, len(row) - 1 :][:, :longest]
        logs.append(logits.float().log_softmax(-1).gather(2, ids[..., None]).squeeze(2).double())
    return torch.stack(logs)


@torch.inference_mode()
def with_shared_cache(
    model: Any,
    rows: list[list[int]],
    width: int,
    ids: torch.Tensor,
    lengths: torch.Tensor,
    pad: int,
) -> torch.Tensor:
    """float64 [rows, labels, longest] of the tokens of each label after each prompt, in nats;
    behind the end of a shorter label stands anything.

    Prompts are padded on the left to a width, labels on the right. ids: [labels, longest]; lengths:
    [labels], ends included.
    """
    count, longest = ids.shape
    prompts = torch.tensor([[pad] * (width - len(row)) + row for row in rows]).to(model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    mask = mask.to(model.device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    out = last_output(
        model, 1, input_ids=prompts, attention_mask=mask, position_ids=positions, use_cache=True
    )
    first_logs = out.logits[:, -1].float().log_softmax(-1)[:, ids[:, 0]].double()
    cache = out.past_key_values
    cache.batch_repeat_interleave(count)
    places = torch.arange(longest, device=model.device)
    label_mask = (places < lengths[:, None]).long()
    labels = ids.repeat(len(rows), 1)
    next_position = positions[:, -1:].repeat_interleave(count, 0) + 1
    # What the last token of a label predicts is not scored.
    inputs_mask = label_mask[:, :-1].repeat(len(rows), 1)
    logits = model(
        input_ids=labels[:, :-1],
        attention_mask=torch.cat([mask.repeat_interleave(count, 0), inputs_mask], dim=1),
        position_ids=next_position + places[:-1],
        past_key_values=cache,
        use_cache=True,
    ).logits.float()
    rest = logits.log_softmax(-1).gather(2, labels[:, 1:, None]).squeeze(2).double()
    return torch.cat([first_logs[..., None], rest.view(len(rows), count, longest - 1)], dim=2)

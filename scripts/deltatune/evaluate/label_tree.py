"""Labels behind a prompt as a tree of tokens, so that one forward pass reads prompt and labels.

Labels that begin alike share the tokens that they begin with. A mask lets each token see the prompt
and what stands before it in its own labels; its position is the one it has behind the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from deltatune.models import upstream
from deltatune.models.logits import AT_ONCE, last_logits, without_adapter


@dataclass(frozen=True)
class LabelTree:
    """Of labels with their ends, on the device of a model. A node is a token that is read: each
    token of a label but its end, which is only predicted."""

    tokens: torch.Tensor
    """int64 [nodes]."""
    depths: torch.Tensor
    """int64 [nodes]: tokens between the prompt and the node."""
    sees: torch.Tensor
    """bool [nodes, nodes]: the second one is the first one or stands before it in its labels."""
    sources: torch.Tensor
    """int64 [labels, longest]: what each token of a label is predicted from, 0 for the last token
    of the prompt, n + 1 for node n; 0 behind the end of a shorter label."""
    targets: torch.Tensor
    """int64 [labels, longest]: the tokens of each label; 0 behind the end of a shorter one."""

    @property
    def nodes(self) -> int:
        return len(self.tokens)


def label_tree(labels: Sequence[Sequence[int]], device: torch.device) -> LabelTree:
    """labels: ids of each, with its end."""
    places: dict[tuple[int, ...], int] = {(): 0}
    for label in labels:
        for stop in range(1, len(label)):
            places.setdefault(tuple(label[:stop]), len(places))
    paths = [path for path in places if path]
    sources = [[places[tuple(label[:stop])] for stop in range(len(label))] for label in labels]
    longest = max(map(len, labels))

    def padded(rows: Sequence[Sequence[int]]) -> torch.Tensor:
        return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows]).to(device)

    return LabelTree(
        tokens=torch.tensor([path[-1] for path in paths], dtype=torch.long).to(device),
        depths=torch.tensor([len(path) - 1 for path in paths], dtype=torch.long).to(device),
        sees=torch.tensor(
            [[path[: len(other)] == other for other in paths] for path in paths], dtype=torch.bool
        )
        .view(len(paths), len(paths))
        .to(device),
        sources=padded(sources),
        targets=padded(labels),
    )


@torch.inference_mode()
def log_likelihoods(
    model: Any, rows: list[list[int]], width: int, tree: LabelTree, pad: int
) -> torch.Tensor:
    """float64 [rows, labels, longest] of the tokens of each label after each prompt, in nats;
    behind the end of a shorter label stands anything.

    rows: prompts, of at least one token. They are padded on the left to a width, so that what is
    predicted stands in the same places of all rows.
    """
    nodes = tree.nodes
    prompts = torch.tensor([[pad] * (width - len(row)) + row for row in rows]).to(model.device)
    lengths = torch.tensor([len(row) for row in rows]).to(model.device)
    places = torch.arange(width, device=model.device)
    is_prompt = places >= width - lengths[:, None]
    positions = (places - (width - lengths[:, None])).clamp(min=0)
    logits = last_logits(
        model,
        nodes + 1,
        input_ids=torch.cat([prompts, tree.tokens.expand(len(rows), nodes)], 1),
        attention_mask=_for_attention(model, _seen(is_prompt, tree)),
        position_ids=torch.cat([positions, lengths[:, None] + tree.depths], 1),
    )
    size = max(1, AT_ONCE // (logits.shape[1] * logits.shape[2]))
    # Of all logits only the sum is needed, so no other tensor of their size is made.
    totals = torch.cat([part.float().logsumexp(-1) for part in logits.split(size)])
    targets = logits[:, tree.sources, tree.targets]
    return targets.double() - totals[:, tree.sources].double()


def _seen(is_prompt: torch.Tensor, tree: LabelTree) -> torch.Tensor:
    """bool [rows, 1, tokens, tokens]: whether the first token sees the second one.

    is_prompt: bool [rows, width], false for padding, which sees itself alone: a row of a softmax
    must not be empty.
    """
    width = is_prompt.shape[1]
    size = width + tree.nodes
    seen = torch.zeros(size, size, dtype=torch.bool, device=is_prompt.device)
    seen[:width, :width] = True
    seen.tril_()
    seen[width:, :width] = True
    seen[width:, width:] = tree.sees
    real = torch.nn.functional.pad(is_prompt, (0, tree.nodes), value=True)
    itself = torch.eye(size, dtype=torch.bool, device=is_prompt.device)
    return (seen & real[:, None, :] | itself)[:, None]


def _for_attention(model: Any, seen: torch.Tensor) -> torch.Tensor:
    """The mask as the model's attention takes it: sdpa as it is, and eager as what is added."""
    if upstream.attention(type(without_adapter(model))) == "sdpa":
        return seen
    added = torch.zeros(seen.shape, dtype=model.dtype, device=seen.device)
    return added.masked_fill_(~seen, torch.finfo(model.dtype).min)

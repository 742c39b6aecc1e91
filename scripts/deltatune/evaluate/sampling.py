"""Answers drawn at random, each by itself: no matter what else is in its batch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers

from deltatune.tasks.base import Sampling


class SeededSampling(transformers.LogitsProcessor):
    """Noise under which the likeliest token is a sample: greedy decoding draws with it.

    The Gumbel-max trick (Gumbel 1954; Maddison, Tarlow and Minka 2014): where independent Gumbel
    noise is added to logits, the largest of them is a sample of their softmax. The noise depends on
    the seed, the key of the row and the step alone. transformers samples all rows of a batch from
    one stream, so that there an answer depends on its neighbors.

    keys: one for each row of the batch, such as the number of its record. prompt_length: tokens of
    a row before the first that is generated.
    """

    def __init__(self, sampling: Sampling, keys: Sequence[Any], prompt_length: int) -> None:
        self.sampling, self._prompt_length = sampling, prompt_length
        self._keys = [_number(key) for key in keys]
        # In the order of transformers.
        self._warpers = transformers.LogitsProcessorList()
        self._warpers.append(transformers.TemperatureLogitsWarper(float(sampling.temperature)))
        if sampling.top_k is not None:
            self._warpers.append(transformers.TopKLogitsWarper(sampling.top_k))
        if sampling.top_p < 1:
            self._warpers.append(transformers.TopPLogitsWarper(sampling.top_p))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step = input_ids.shape[1] - self._prompt_length
        return self.warped(scores) + self.noise(step, scores.shape[1]).to(scores)

    def warped(self, scores: torch.Tensor) -> torch.Tensor:
        """Logits [rows, vocabulary] divided by the temperature, those left out at -inf."""
        return self._warpers(None, scores)

    def noise(self, step: int, size: int) -> torch.Tensor:
        """float64 [rows, size] on the CPU: of the token of that number, from 0, of each row."""
        return torch.from_numpy(np.stack([self._noise(key, step, size) for key in self._keys]))

    def _noise(self, key: int, step: int, size: int) -> np.ndarray:
        return np.random.default_rng([self.sampling.seed, key, step]).gumbel(size=size)


def _number(key: Any) -> int:
    return int.from_bytes(hashlib.sha256(str(key).encode()).digest()[:8], "big")

"""What a merged model and its check depend on, as types. Needs no tensors to be imported."""

from __future__ import annotations

from typing import Generic

from deltatune.models.settings import Quantization
from deltatune.tokens.settings import PromptSettings, TokenizeSettings


class MergeSettings(TokenizeSettings[PromptSettings], Generic[PromptSettings]):
    """All that decides a merged model and the text that it is checked on, the weights and the code
    apart: the params of `merge_adapter`."""

    quantization: Quantization

"""Answers by vLLM, for those who have it: `evaluation.backend: vllm`.

Token ids go in and come out, so what a prompt is, where an answer ends and what is cut are this
project's own, whichever backend there is. The weights are as trained: vLLM quantizes a base to NF4
while it loads it, and applies the adapter beside it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from deltatune.core.errors import UserError
from deltatune.evaluate.settings import EvaluationSettings
from deltatune.evaluate.systems import System
from deltatune.evaluate.vllm_settings import QUANTIZATIONS, RANKS, missing
from deltatune.models import device
from deltatune.models.architecture import of_folder
from deltatune.models.device import Compute
from deltatune.tokens import context
from deltatune.tokens.tokenizer import load_tokenizer


class Engine:
    """A base or a tuned system, as a model and as its `Decoder`. config: transformers' of its text
    model."""

    def __init__(
        self,
        folder: str | Path,
        quantization: str,
        compute: Compute,
        adapter: str | Path | None = None,
    ) -> None:
        """folder: of the base. adapter: its folder."""
        self.config = of_folder(folder, f"models.{context.model_name(folder)}").config
        self._adapter = adapter
        self.captured, self.shapes = 0, Counter[str]()
        self._arguments = {
            "model": str(folder),
            "quantization": QUANTIZATIONS[quantization],
            "dtype": str(compute.dtype).removeprefix("torch."),
            "seed": 0,
            "trust_remote_code": False,
            "skip_tokenizer_init": True,
            # Not the model's own: it may bring sampling and limits.
            "generation_config": "vllm",
        }
        if adapter is not None:
            fields = json.loads(Path(adapter, "adapter_config.json").read_text(encoding="utf-8"))
            rank = max(fields["r"], *fields.get("rank_pattern", {}).values(), 0)
            ranks = [one for one in RANKS if one >= rank]
            self._arguments |= {"enable_lora": True, "max_lora_rank": min(ranks, default=rank)}

    def tokens(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        *,
        max_new_tokens: int,
        stops: Sequence[int],
        pad: int,
        noise: None = None,
    ) -> torch.Tensor:
        """As `Decoder.tokens`: of all prompts in one call, in which vLLM makes its own batches."""
        self.shapes["x".join(map(str, ids.shape))] += 1
        rows = [row[seen.bool()].tolist() for row, seen in zip(ids, mask, strict=True)]
        # Requests are scheduled in this process, in the same order each time; nothing is reported.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ["VLLM_NO_USAGE_STATS"] = "1"
        from vllm import LLM, SamplingParams
        from vllm.lora.request import LoRARequest

        engine: Any = LLM(max_model_len=ids.shape[1] + max_new_tokens, **self._arguments)
        greedy = SamplingParams(
            temperature=0.0,
            max_tokens=max_new_tokens,
            stop_token_ids=list(stops),
            # The eos of the model's config: `stops` has that of the tokenizer.
            ignore_eos=True,
            detokenize=False,
        )
        with_lora = {}
        if self._adapter is not None:
            with_lora["lora_request"] = LoRARequest("adapter", 1, str(self._adapter))
        prompts = [{"prompt_token_ids": row} for row in rows]
        answered = engine.generate(prompts, greedy, use_tqdm=False, **with_lora)
        made = [torch.tensor(_ended(one.outputs[0], stops)) for one in answered]
        return torch.nn.utils.rnn.pad_sequence(made, batch_first=True, padding_value=pad)


def _ended(completion: Any, stops: Sequence[int]) -> list[int]:
    """Its tokens with the one that ended it, which vLLM leaves out where it is a special one."""
    tokens = list(completion.token_ids)
    if completion.finish_reason == "stop" and tokens[-1:] != [completion.stop_reason]:
        reason = completion.stop_reason
        tokens.append(stops[0] if reason is None else reason)
    return tokens


def load(inputs: Any, settings: EvaluationSettings) -> System:
    """A system in vLLM, from the inputs of `systems.load`."""
    if message := missing():
        raise UserError(f"evaluation.backend: {message}")
    machine = device.prepare(seed=0, threads=1)
    hashes = getattr(inputs, "adapter", None)
    adapter = Path(hashes).with_suffix("") if hashes else None
    engine = Engine(inputs.model, settings.quantization, machine, adapter)
    used = "unquantized" if settings.quantization == "none" else "quantized"
    facts = {"weights_used": used, "weights_reason": "vLLM takes them as trained"}
    return System(machine, engine, load_tokenizer(inputs.model), facts)

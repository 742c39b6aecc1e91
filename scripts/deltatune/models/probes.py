"""What a model does to packed rows, to padding and to its cache: asked, not assumed.

Each question is a function of a model, answered by a few forward passes. It is put to the model's
twin (`models.twin`), which has its class and its switches; only where there is no twin, to the
model itself. So the answer is there before any weights are, and it is the same on every machine
and under every quantization.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import transformers

from deltatune.core.errors import UserError
from deltatune.models import oom, upstream
from deltatune.models.architecture import Architecture
from deltatune.models.twin import twin

Question = Callable[[Any], bool]

#: Token ids of two documents of unequal length; every vocabulary has them.
FIRST, SECOND = [5, 9, 13, 21, 8, 17], [30, 11, 25, 7, 19, 28, 14, 6, 23]
#: How far logits may be apart, in standard deviations, and still count as the same: rounding of
#: fp32 gives 1e-6 to 1e-5, another token in sight 0.1 and more.
TOLERANCE = 1e-3
#: The same of a model in 16 bits, whose sums depend on the shape of a batch.
TOLERANCE_16_BIT = 0.05


def ask(model: Any, question: Question) -> bool:
    """The answer of a model to a question, such as those below.

    model: one that was loaded, with an adapter or without.
    """
    answer = _ask_twin(_Config(model.config), question)
    if answer is None:
        training = model.training
        model.eval()
        answer = _answered(model, question)
        model.train(training)
    return answer


def _answered(model: Any, question: Question) -> bool:
    """The answer of a model; no, where it fails at that."""
    try:
        return question(model)
    except Exception as error:  # each class has its own way to fail
        if oom.out_of_memory(error):
            raise
        return False


def require(architecture: Architecture, where: str, model: Any = None) -> None:
    """Raise UserError, naming the key of the model in config.yaml, for a model that cannot be
    tuned or evaluated. model: the loaded one; without it, what has no twin is let pass."""
    config = _Config(architecture.config)
    for question, problem in _REQUIRED.items():
        answer = ask(model, question) if model is not None else _ask_twin(config, question)
        if answer is False:
            raise UserError(f"{where}: {architecture.name} {problem} Choose another model.")


def require_quantizable(architecture: Architecture, quantization: str, where: str) -> None:
    """`require_forward` of the twin, before there are weights; what has no twin is let pass."""
    small = _twin(_Config(architecture.config))
    if small is not None:
        quantized = upstream.quantized_copy(small, quantization)
        require_forward(quantized, quantization, architecture.name, where)


def require_forward(model: Any, quantization: str, name: str, where: str) -> None:
    """Raise UserError, naming the key, where a quantized model cannot compute.

    name: of the model's class. where: key of the quantization in config.yaml.
    """
    if not _answered(model, can_read):
        raise UserError(
            f"{where}: {name} cannot compute with layers in {quantization}: it uses their weights "
            "directly, which are packed then. Write `none`, or choose another model."
        )


def same(one: torch.Tensor, other: torch.Tensor, model: Any) -> bool:
    """Whether logits are the same but for rounding."""
    exact = model.dtype is torch.float32 and not getattr(model, "is_loaded_in_8bit", False)
    tolerance = TOLERANCE if exact else TOLERANCE_16_BIT
    return bool((one - other).abs().max() <= tolerance * other.std())


@torch.inference_mode()
def logits(model: Any, rows: list[list[int]], **inputs: torch.Tensor) -> torch.Tensor:
    """float64 [rows, tokens, vocabulary] of rows of one length, without a cache."""
    ids = torch.tensor(rows, device=model.device)
    inputs = {name: value.to(model.device) for name, value in inputs.items()}
    return model(input_ids=ids, use_cache=False, **inputs).logits.cpu().double()


# ---------------------------------------------------------------- questions


def can_read(model: Any) -> bool:
    """Whether it computes at all."""
    return logits(model, [FIRST]).numel() > 0


def is_causal(model: Any) -> bool:
    """Whether a token sees those before it alone."""
    before, after = logits(model, [FIRST, [*FIRST[:-1], SECOND[0]]])
    return same(before[:-1], after[:-1], model)


def separates_documents(model: Any) -> bool:
    """Whether the documents of a packed row, whose position_ids begin anew, are as they are apart.

    Without a mask, as in training, see `tokens.shards.Collator`.
    """
    apart = torch.cat([logits(model, [FIRST]), logits(model, [SECOND])], 1)
    places = torch.cat([torch.arange(len(FIRST)), torch.arange(len(SECOND))])[None]
    packed = logits(model, [FIRST + SECOND], position_ids=places)  # some have no such argument
    return same(packed, apart, model)


def ignores_padding(model: Any) -> bool:
    """Whether an answer is the same with padding on the left of its prompt."""
    width = len(SECOND) - len(FIRST)
    mask = torch.ones(2, len(SECOND), dtype=torch.long)
    mask[0, :width] = 0
    alone = _answer(model, [FIRST], torch.ones(1, len(FIRST), dtype=torch.long))
    padded = _answer(model, [[0] * width + FIRST, SECOND], mask)
    return same(padded[:1], alone, model)


def can_answer(model: Any) -> bool:
    """Whether it generates text, and each token is chosen as without a cache."""
    generated = _answer(model, [FIRST], torch.ones(1, len(FIRST), dtype=torch.long))
    answer = generated[0, :-1].argmax(-1).tolist()
    plain = logits(model, [FIRST + answer])[:, len(FIRST) - 1 :]
    return same(generated, plain, model)


@torch.inference_mode()
def _answer(model: Any, rows: list[list[int]], mask: torch.Tensor) -> torch.Tensor:
    """Logits of three generated tokens: float64 [rows, 3, vocabulary]."""
    kept = model.generation_config
    model.generation_config = transformers.GenerationConfig()
    try:
        answered = model.generate(
            input_ids=torch.tensor(rows, device=model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=3,
            do_sample=False,
            num_beams=1,
            use_cache=True,
            pad_token_id=0,
            output_logits=True,
            return_dict_in_generate=True,
        )
    finally:
        model.generation_config = kept
    return torch.stack(answered.logits, 1).cpu().double()


_REQUIRED: dict[Question, str] = {
    can_read: "does not compute: with these settings of its config.json it fails at a few tokens.",
    is_causal: "is not causal: a token sees those that follow it, as in an encoder, so what it is "
    "to predict is among what it reads.",
    can_answer: "does not generate text as it reads it: with its cache it predicts other tokens "
    "than without, or fails.",
}


# ---------------------------------------------------------------- asked once


#: Fields that say how weights are stored or where they are from.
_ASIDE = ("dtype", "quantization_config", "architectures", "transformers_version", "_name_or_path")


class _Config:
    """A config that equals another of the same content, so that each is asked once."""

    def __init__(self, config: transformers.PreTrainedConfig) -> None:
        self.config = config
        fields = {key: value for key, value in config.to_dict().items() if key not in _ASIDE}
        self._key = (type(config), json.dumps(fields, sort_keys=True, default=str))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Config) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@cache
def _twin(config: _Config) -> Any:
    model_class = transformers.MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config.config), None)
    small = twin(config.config, upstream.attention(model_class))
    try:
        if small is None or not logits(small, [FIRST]).isfinite().all():
            return None
    except Exception:  # built, but its small sizes do not fit together
        return None
    return small


@cache
def _ask_twin(config: _Config, question: Question) -> bool | None:
    """None where there is no twin."""
    small = _twin(config)
    return None if small is None else _answered(small, question)

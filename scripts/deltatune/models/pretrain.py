"""A small Mistral and its byte-level BPE tokenizer, trained from scratch in about a minute."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

from deltatune.core.errors import UserError
from deltatune.models.pretrain_settings import Pretraining
from deltatune.tokens.ids import text_ids

SPECIAL = ["<unk>", "<s>", "</s>"]


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE: any text can be written, digit by digit, and nothing is unknown."""
    tokenizer = Tokenizer(BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<unk>",
        add_bos_token=True,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def pretrain(
    texts: list[str],
    settings: Pretraining,
    output: Path,
    progress: Callable[[str], None] = print,
) -> dict:
    """Train tokenizer and model on the texts and save both as one Hugging Face folder.

    Returns counts and losses (nats per token) for the manifest. Raises UserError where the texts
    are shorter than one training sequence.
    """
    torch.manual_seed(settings.seed)
    shape = settings.architecture
    tokenizer = train_tokenizer(texts, shape.vocab_size)
    config = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.context,
        sliding_window=None,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = MistralForCausalLM(config)
    documents = text_ids(texts, tokenizer)
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    stream = torch.tensor([i for ids in documents for i in (bos, *ids, eos)])
    length = settings.sequence_length
    if len(stream) <= length:
        raise UserError(
            f"The corpus has {len(stream)} tokens, less than one training sequence of {length}. "
            "Name more tasks under `corpus`, or lower `sequence_length`."
        )
    losses = _optimize(model, stream, settings, progress)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "vocabulary": len(tokenizer),
        "corpus_tokens": len(stream),
        "trained_tokens": settings.steps * _rows(settings) * length,
        "first_loss": losses[0],
        "last_loss": sum(losses[-10:]) / len(losses[-10:]),
    }


def _optimize(model, stream, settings: Pretraining, progress: Callable[[str], None]) -> list[float]:
    """AdamW under a one-cycle schedule over random windows of the token stream."""
    steps, length = settings.steps, settings.sequence_length
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.1
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=settings.learning_rate,
        total_steps=steps,
        # A tenth of the steps to warm up. OneCycleLR divides by zero where that is one step.
        pct_start=min(0.1, steps // 10 / steps) if steps >= 20 else 0.5 / steps,
    )
    model.train()
    losses = []
    batches = _batches(stream, _rows(settings), length, steps, settings.seed)
    for step, batch in enumerate(batches):
        loss = model(input_ids=batch, labels=batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise UserError(
                f"The loss is not finite (NaN or infinity) at step {step + 1}; lower "
                "`learning_rate`."
            )
        progress(f"step {step + 1}/{steps}, loss {losses[-1]:.3f}")
    return losses


def _rows(settings: Pretraining) -> int:
    """Sequences of one optimizer step."""
    return max(1, settings.batch_tokens // settings.sequence_length)


def _batches(
    stream: torch.Tensor, rows: int, length: int, steps: int, seed: int
) -> Iterator[torch.Tensor]:
    """`steps` batches [rows, length] of windows that start anywhere in the stream."""
    generator = torch.Generator().manual_seed(seed)
    offsets = torch.arange(length)
    for _ in range(steps):
        starts = torch.randint(len(stream) - length, (rows, 1), generator=generator)
        yield stream[starts + offsets]

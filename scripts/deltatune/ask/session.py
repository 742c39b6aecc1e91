"""Base and tuned asked the same question, for a person who wants to see what tuning changed.

One model is in memory, with its adapter switched on and off: that *is* the base and the tuned
system of an evaluation, under the same quantization and with its weights as trained. An adapter
that was merged into dequantized weights (`evaluate.weights`) could not be switched off. Prompts are
made by the task's kind, and tokens by `tokens.ids`, as in training and evaluation.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deltatune.core import label_file, manifest
from deltatune.core.errors import UserError
from deltatune.core.paths import RESULTS
from deltatune.core.text import did_you_mean
from deltatune.core.upstream import keep_threads_from_spinning
from deltatune.tasks.base import TaskKind, labeled, question_prompt
from deltatune.tasks.registry import load_kind
from deltatune.tokens.answer_ids import DECODING, prompt_ids, stop_id
from deltatune.tokens.ids import bos_ids, eos_id, pad_id
from deltatune.tokens.prompts import Prompt
from deltatune.tokens.settings import TokenizeSettings
from deltatune.workflow.flow import Flow

SIDES = ("base", "tuned")


@dataclass(frozen=True)
class Subject:
    """What is asked: the folders of one experiment at one seed, and its task's settings."""

    experiment: str
    seed: int
    model: Path
    adapter: Path
    quantization: str
    tokens: TokenizeSettings
    """The kind of the task, and its prompts."""
    longest: int = 128
    """Tokens of an answer at most, as in the evaluation."""
    note: str = ""
    """What a person should know, if the results are not those of config.yaml as it stands."""

    @property
    def kind(self) -> TaskKind:
        return load_kind(self.tokens.kind)

    @property
    def outputs(self) -> str:
        """answers, text or labels."""
        return self.kind.OUTPUTS


@dataclass(frozen=True)
class End:
    """How an answer ended. tokens: how many were made. why: finished by itself, cut at the longest
    that was allowed, or stopped by the person. prompt_cut: first tokens of the prompt that were
    left out because the context is full."""

    tokens: int
    why: Literal["finished", "cut", "stopped"]
    prompt_cut: int = 0

    def __str__(self) -> str:
        parts = [f"{self.tokens} token{'' if self.tokens == 1 else 's'}"]
        if self.why != "finished":
            parts.append(self.why)
        if self.prompt_cut:
            parts.append(f"without the first {self.prompt_cut} tokens of the prompt")
        return ", ".join(parts)


# ---------------------------------------------------------------- what is there


def find(flow: Flow, experiment: str, seed: int | None, snakemake: str) -> Subject:
    """The results of an experiment, below the current folder.

    seed: of training; none for the first in config.yaml. snakemake: how the person would start
    it, for the message. Raises UserError where there is no such experiment, or its adapter or
    model is not made yet.
    """
    if experiment not in flow.settings.experiments:
        raise UserError(
            f"No experiment is called '{experiment}'"
            f"{did_you_mean(experiment, flow.settings.experiments)}; there are "
            f"{', '.join(flow.settings.experiments)}."
        )
    chosen = flow.experiment(experiment)
    seed = flow.settings.seeds[0] if seed is None else seed
    folder = Path(RESULTS) / "experiments" / experiment / f"seed-{seed}"
    model = Path(flow.paths.model_dir(chosen.model, chosen.quantization))
    if not (folder / "adapter.sha256").is_file() or not (model / "config.json").is_file():
        trained = sorted(
            int(path.parent.name.removeprefix("seed-"))
            for path in folder.parent.glob("seed-*/adapter.sha256")
        )
        seeds = "is seed" if len(trained) == 1 else "are seeds"
        other = f" (there {seeds} {', '.join(map(str, trained))})" if trained else ""
        raise UserError(
            f"'{experiment}' with seed {seed} has not been trained yet{other}. Run this first:\n\n"
            f"    {snakemake} {folder}/adapter.sha256\n"
        )
    labels = label_file.read(flow.paths.labels(chosen.task))
    return Subject(
        experiment,
        seed,
        model,
        folder / "adapter",
        chosen.quantization,
        labeled(flow.task_kind(chosen.task), flow.params.tokens(chosen.task), labels),
        getattr(flow.settings.tasks[chosen.task].evaluation, "max_new_tokens", Subject.longest),
        _notes(flow, experiment, seed, folder / "manifest.json"),
    )


def _notes(flow: Flow, experiment: str, seed: int, path: Path) -> str:
    if not path.is_file():
        return ""
    then, now = manifest.read(path).get("settings"), flow.params.training(experiment, str(seed))
    notes = []
    if then != now:
        notes.append("The adapter was trained with other settings than config.yaml has now.")
    if (then or now).get("lora", {}).get("bias", "none") != "none":
        notes.append("Biases were tuned too; they stay on, so `base` here is not quite the base.")
    return " ".join(notes)


# ---------------------------------------------------------------- asking


def prompt(subject: Subject, question: str, input: str = "") -> Prompt:
    """The question as the task asks it: in its template or chat, or for prose the text itself.

    input: the optional field of an instruction. Raises UserError for an input to a kind of task
    that has none.
    """
    kind = subject.kind
    if input and not {*kind.OPTIONAL_FIELDS} & {*kind.PROMPT_FIELDS}:
        raise UserError(f"A task of kind '{subject.tokens.kind}' takes no input beside the text.")
    return question_prompt(kind, subject.tokens.prompts, question, input)


class Pair:
    """A base and what was tuned from it, in one model."""

    def __init__(self, model: Any, tokenizer: Any, subject: Subject) -> None:
        """model: a PeftModel on its base, see `load`."""
        self._model, self._tokenizer, self.subject = model, tokenizer, subject
        # The switch is in the model: two answers at a time would read each other's.
        self._turn = threading.Lock()

    def _side(self, side: str) -> AbstractContextManager:
        if side not in SIDES:
            raise ValueError(f"a side is base or tuned, not {side!r}")
        return self._model.disable_adapter() if side == "base" else nullcontext()

    def answer(
        self,
        side: str,
        question: Prompt,
        max_new_tokens: int,
        stop: threading.Event | None = None,
    ) -> Iterator[str | End]:
        """Pieces of a greedy answer as they are made, then how it ended.

        It is what `generate.answer` gives for this prompt alone. stop: set it, or close the
        iterator, and the answer ends after the token that is being made.
        """
        from transformers import StoppingCriteria, StoppingCriteriaList

        from deltatune.ask.upstream import PieceStreamer

        stopping = stop or threading.Event()

        class Stopped(StoppingCriteria):
            def __call__(self, input_ids, scores, **kwargs):
                return input_ids.new_full((len(input_ids),), stopping.is_set(), dtype=bool)

        request, cut = self._request(question, max_new_tokens)
        streamer = PieceStreamer(self._tokenizer, skip_prompt=True, **DECODING)
        result: dict[str, Any] = {}

        def generate() -> None:
            try:
                result["ids"] = self._model.generate(
                    **request,
                    streamer=streamer,
                    stopping_criteria=StoppingCriteriaList([Stopped()]),
                )
            except BaseException as error:
                result["error"] = error
                streamer.end()  # or its reader would wait for ever

        with self._turn, self._side(side):
            worker = threading.Thread(target=generate, daemon=True)
            worker.start()
            try:
                yield from (piece for piece in streamer if piece)
                was_stopped = stopping.is_set()
            finally:
                # Also where the reader goes away: the adapter may only be switched afterwards.
                stopping.set()
                worker.join()
        if "error" in result:
            raise result["error"]
        ids = result["ids"][0, request["input_ids"].shape[1] :].tolist()
        if ids and ids[-1] in request["eos_token_id"]:
            yield End(len(ids) - 1, "finished", cut)
        elif was_stopped and len(ids) < request["max_new_tokens"]:
            yield End(len(ids), "stopped", cut)
        else:
            yield End(len(ids), "cut", cut)

    def _request(self, question: Prompt, max_new_tokens: int) -> tuple[dict[str, Any], int]:
        """Arguments of `generate`, and how many tokens of the prompt are left out.

        As in `generate.answer`: greedy, and a prompt too long for the context loses its first
        tokens.
        """
        import torch

        from deltatune.models.architecture import context_length

        tokenizer = self._tokenizer
        before = len(bos_ids(tokenizer))
        context = context_length(self._model)
        room = max(before + 1, context - max_new_tokens)
        (ids,) = prompt_ids([question], tokenizer)
        remaining = ids[:before] + ids[before:][-(room - before) :]
        row = torch.tensor([remaining]).to(self._model.device)
        request = {
            "input_ids": row,
            "attention_mask": torch.ones_like(row),
            "max_new_tokens": min(max_new_tokens, context - room),
            "do_sample": False,
            "num_beams": 1,
            "use_cache": True,
            "pad_token_id": pad_id(tokenizer),
            "eos_token_id": sorted({eos_id(tokenizer), stop_id(question, tokenizer)}),
        }
        return request, len(ids) - len(remaining)

    def labels(self, question: Prompt) -> dict[str, np.ndarray]:
        """Log-likelihood of each label and its end after a text, for each side: float64 [labels],
        nats."""
        from deltatune.evaluate import label_likelihood

        log_likelihoods = {}
        for side in SIDES:
            with self._turn, self._side(side):
                scores = label_likelihood.score_completions(
                    self._model,
                    self._tokenizer,
                    [question],
                    self.subject.kind.completions(self.subject.tokens.prompts),
                    max_length=self.subject.tokens.max_length,
                    batch_size=1,
                    progress=_quiet,
                )
                log_likelihoods[side] = scores.ended[0]
        return log_likelihoods


def load(subject: Subject) -> Pair:
    """The model in memory, quantized as it was trained."""
    keep_threads_from_spinning()
    from deltatune.models import device
    from deltatune.models.load import load_system
    from deltatune.tokens.tokenizer import load_tokenizer

    machine = device.prepare(seed=0, threads=compute_threads())
    model = load_system(subject.model, subject.quantization, machine, subject.adapter)
    return Pair(model, load_tokenizer(subject.model), subject)


def compute_threads() -> int:
    """All cores, within reason: nothing else of the pipeline runs, and nothing is recorded."""
    return min(os.cpu_count() or 1, 8)


def label_table(pair: Pair, question: Prompt) -> list[tuple[str, float, float]]:
    """(label, share under the base, share when tuned): likelihoods made to add up to 1 over the
    labels, in the order of the labels."""
    columns = []
    for scores in pair.labels(question).values():
        weights = np.exp(scores - scores.max())
        columns.append((weights / weights.sum()).tolist())
    names = pair.subject.tokens.prompts.labels
    return list(zip(names, *columns, strict=True))


def _quiet(text: str) -> None:
    """Progress of something too short to have any."""

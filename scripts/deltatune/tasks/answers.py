"""The settings of kinds whose outputs are "answers": how they are asked for and scored."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from deltatune.core.schema import Section
from deltatune.metrics.languages import NOT_BY_WORDS, check_language
from deltatune.tasks.base import BatchSize, Sampling, TaskSettings, valid

MAIN_METRIC = "rouge_l"
METRICS = ["rouge_l", "bleu", "exact_match", "token_f1", "bertscore"]


class Questions(Section):
    max_examples: int | None = Field(None, ge=5)
    """Evaluate only this many records, evenly spaced over the test split (or the validation split,
    where that is evaluated); null: all."""


class Evaluation(Questions):
    max_new_tokens: int = Field(128, ge=1, le=1_048_576)
    """Maximum length of an answer, in tokens."""
    sampling: Sampling | None = None
    """Draw answers at random, one for each record; null: greedy, the likeliest token each time."""
    batch_size: BatchSize = "auto"
    """Prompts in one batch of generation, sorted by length. auto: on a GPU as many as the keys and
    values of a fixed budget allow, which follows from the model's shape and the prompts' lengths
    and not from the card (192 prompts of 128 tokens with 256 new ones of Mistral-7B); elsewhere
    32."""


class AnswerSettings(TaskSettings):
    evaluation: Evaluation = Evaluation()
    """Settings of the generation."""
    language: str = Field("en", pattern=r"^[a-z]{2,4}$")
    """Language of the answers, a primary code of BCP 47 such as en, es or zh; none: code, formulas,
    symbols. Articles are dropped for en alone, and BLEU tokenizes by language. With any other than
    en the default of metrics has chrf too; where words cannot be told apart (th, lo, km, my, none)
    it is the default of main_metric."""
    metrics: list[str] = METRICS
    main_metric: str = MAIN_METRIC

    @model_validator(mode="before")
    @classmethod
    def _judged_by_characters(cls, task: Any) -> Any:
        language = task.get("language", "en") if isinstance(task, dict) else "en"
        if language == "en":
            return task
        defaults = {"metrics": [*METRICS, "chrf"]}
        metrics = task.get("metrics", defaults["metrics"])
        if language in NOT_BY_WORDS and isinstance(metrics, list) and "chrf" in metrics:
            defaults["main_metric"] = "chrf"
        return defaults | task

    @field_validator("language", mode="before")
    @classmethod
    def _is_a_language(cls, language: Any) -> Any:
        # YAML 1.1 reads no, Norwegian, as false.
        language = "no" if language is False else language
        return valid(check_language, language) if isinstance(language, str) else language

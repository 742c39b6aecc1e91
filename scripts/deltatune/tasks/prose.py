"""Language modeling of running text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from deltatune.core.schema import Section
from deltatune.data.reasons import Reason
from deltatune.data.records import OFFSETS, PARAGRAPH_GAP
from deltatune.data.split_settings import Method, Split
from deltatune.tasks.base import (
    BatchSize,
    Clusters,
    Passage,
    Record,
    TaskSettings,
    group_clusters,
    missing,
)
from deltatune.tokens.prompts import Document

if TYPE_CHECKING:
    import pandas as pd

TITLE = "prose"
OUTPUTS = "text"
UNIT = "windows"
MAIN_METRIC = "perplexity"
FIELDS = ("text",)
OPTIONAL_FIELDS = ()
TEXT_FIELDS = FIELDS
PROMPT_FIELDS = ()
ANSWER_FIELDS = ()
LABEL_FIELD = None
TRUNCATION = "truncate"
Records = Section
Prompts = Section


class Questions(Section):
    continuations: list[str] = ["I'm afraid I've created a "]
    """Prompts that base and tuned continue."""


class Evaluation(Questions):
    context: int | None = Field(None, ge=32, le=1_048_576)
    """Length of the window in tokens. Default: max_length."""
    windows: Literal["sliding", "lm_eval"] = "sliding"
    """sliding: windows overlap by half, so that each token but the first ones has half a window
    before it. lm_eval: windows as in lm-evaluation-harness, which follow each other without an
    overlap, for word perplexity and bits per byte that compare with its figures, and are higher."""
    max_new_tokens: int = Field(60, ge=1, le=1_048_576)
    """Maximum length of a continuation, in tokens."""
    batch_size: BatchSize = "auto"
    """Windows scored in one batch, and continuations written in one. auto: on a GPU as many tokens
    as keep it busy, which follows from the model's shape and the lengths and not from the card;
    elsewhere 8 windows, or 32 continuations."""


class ContiguousSplit(Split):
    method: Method = "contiguous"
    """random; stratified by label; contiguous: the last records in order are the test set; or hash:
    a hash of each record's text decides, so that added records move no other, and sizes are
    fractions that hold approximately."""


class Settings(TaskSettings):
    kind: Literal["prose"]
    split: ContiguousSplit = ContiguousSplit()
    """The split into training, validation and test set."""
    overflow: Literal["split", "truncate", "drop", "refuse"] = "split"
    """What becomes of a record longer than max_length: split: it is trained on in pieces;
    truncate: its end is cut; drop: it is not trained on; refuse: the run stops and names the
    records. The test text is scored in windows whatever its length."""
    evaluation: Evaluation = Evaluation()
    """Settings of the likelihood and of the continuations."""
    metrics: list[str] = ["perplexity", "word_perplexity", "bits_per_byte"]
    main_metric: str = MAIN_METRIC


def check(record: Record, settings: Records) -> Reason | None:
    return missing(record, ("text",))


def clean(record: Record, settings: Records) -> Record:
    cleaned = {"text": record["text"].strip(), "chapter": record.get("chapter") or ""}
    # Numbers are those of chunks: in a file of records every field is text, whatever its name.
    offsets = {name: record.get(name) for name in OFFSETS}
    if all(isinstance(value, int) for value in offsets.values()):
        cleaned |= offsets
    return cleaned


def document(record: Record, settings: Prompts) -> Document:
    return Document(prompt="", completion=record["text"])


def questions(test: pd.DataFrame, settings: Prompts, chosen: Questions) -> pd.DataFrame:
    """id, prompt, reference: the fixed prompts, which have no reference answer."""
    import pandas as pd

    prompts = chosen.continuations
    return pd.DataFrame({"id": range(1, len(prompts) + 1), "prompt": prompts, "reference": ""})


def passages(test: pd.DataFrame) -> list[Passage]:
    """Records that follow on each other in the source, as one text; see `_separator`.

    Their cluster is the group, where the records are split by groups, or the chapter; a record of a
    file without chapters is a document of its own. Texts under the same name are one cluster.
    """
    runs: list[list[Record]] = []
    parts: list[list[str]] = []
    for record in test.assign(**clusters(test)).to_dict("records"):
        separator = _separator(runs[-1][-1], record) if runs else None
        if separator is None:
            runs.append([])
            parts.append([])
        else:
            parts[-1].append(separator)
        runs[-1].append(record)
        parts[-1].append(record["text"])
    begin, end = OFFSETS
    return [
        Passage(
            cluster=run[0]["cluster"],
            cluster_unit=run[0]["cluster_unit"],
            text="".join(texts),
            start=run[0].get(begin),
            end=run[-1].get(end),
        )
        for run, texts in zip(runs, parts, strict=True)
    ]


def uses_chat_template(settings: Prompts) -> bool:
    return False


def clusters(test: pd.DataFrame) -> Clusters:
    grouped = group_clusters(test)
    if grouped:
        return grouped
    chapters, is_chunk = test["chapter"], OFFSETS[0] in test
    without = "(no chapter)" if is_chunk else "document " + test["id"].astype(str)
    return {
        "cluster": chapters.where(chapters != "", without),
        "cluster_unit": "chapters" if (chapters != "").any() else "documents",
    }


def _separator(last: Record, record: Record) -> str | None:
    """What stands between two records in their source, None where they do not follow on each other.

    Chunks know their place: between two neighbors is the space or the blank line that the text was
    cut at; a heading, or a chunk that is not in the test split, is longer. Records of one chapter
    of a file without places are taken for its paragraphs if no record between them is left out.
    """
    if last["cluster"] != record["cluster"]:
        return None
    if OFFSETS[0] in record:
        gap = record[OFFSETS[0]] - last[OFFSETS[1]]
        return {1: " ", len(PARAGRAPH_GAP): PARAGRAPH_GAP}.get(gap)
    same = record["chapter"] and record["chapter"] == last["chapter"]
    return PARAGRAPH_GAP if same and record["id"] == last["id"] + 1 else None


def plain_text(record: Record) -> str:
    return record["text"]

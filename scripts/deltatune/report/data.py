"""What the page shows, as plain data: `collect` fills it, the sections read it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from deltatune.compare.fact import Fact
from deltatune.report import numbers, outcomes
from deltatune.report.examples import ExampleTable
from deltatune.report.outcomes import Outcome
from deltatune.report.times import TIMES

LOSSES = ["experiment", "seed", "step", "epoch", "split", "loss"]
FINAL_LOSSES = ["experiment", "seed", "split", "base", "tuned"]
COSTS = ["stage", "name", "seconds", "peak_memory_gb", "tokens_per_second"]


Pair = tuple[str, str]
"""(experiment, task)."""


@dataclass(frozen=True)
class Checkout:
    """The code of a job."""

    commit: str | None
    """None where there was no git checkout."""
    modified: bool
    """Whether the code differed from the commit."""


def _empty(columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns=columns)


@dataclass
class ReportData:
    """All that the page shows. Only `facts` and `experiments` are needed.

    What is absent is left out of the page, or named as missing where a reader would look for it.
    """

    facts: list[Fact]
    """results/comparison.csv and results/cross_task.csv: one for each metric of an experiment on
    a task."""

    experiments: dict[str, dict]
    """name → {task, kind (in words), outputs, unit, model, quantization, main_metric,
    settings: {"lora": {…}, "training": {…}} (any nesting), seeds: [int, …], built_here (is the
    model), chosen_on (the split by which settings were chosen, or None), documents_packed
    (whether the model computes the documents of a row together), and perhaps
    published: {source, metrics: {metric: {base, tuned, scale}}, differs: [sentence, …]}}"""

    controls: list[Fact] = field(default_factory=list)
    """results/baselines.csv: tuned against each plain baseline of its task (`Fact.against`)."""

    left_out: dict[Pair, str] = field(default_factory=dict)
    """pair that is not evaluated → why, see `config.cross_task`"""

    missing_results: list[str] = field(default_factory=list)
    """What is not there of the run, with the reason, each a sentence: of a page of what is."""

    other_settings: list[str] = field(default_factory=list)
    """`rule: job` of each that was made with other settings than those of this run."""

    margins: dict[str, float] = field(default_factory=dict)
    """metric → the difference up to which two figures of it count as equal."""

    baseline_titles: dict[str, str] = field(default_factory=dict)
    """name of a plain baseline → its title; one that is absent goes by its name."""

    behavior: dict[Pair, dict[str, dict]] = field(default_factory=dict)
    """pair → {"base" | "tuned": `behavior` of metrics.json}, where answers are generated; tuned:
    mean over seeds."""

    label_checks: dict[Pair, dict[str, dict]] = field(default_factory=dict)
    """pair → {"base" | "tuned": {label_mass, chance, largest_predicted_share,
    at_chance_for_format}} of the manifests of score_labels; tuned: mean over seeds."""

    evaluations: dict[Pair, dict[str, dict]] = field(default_factory=dict)
    """pair → {"base" | "seed N": manifest of generate_answers, score_text or score_labels}."""

    metric_caveats: dict[Pair, dict[str, list[str]]] = field(default_factory=dict)
    """pair → {what a metric says of its own figure: the systems of which it says it}."""

    classes: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """task → {split: {label: records}}."""

    metrics: dict[str, dict] = field(default_factory=dict)
    """metric → {title, signature}; a metric that is absent goes by its name."""

    losses: pd.DataFrame = field(default_factory=lambda: _empty(LOSSES))
    """split: "train" | "validation"; loss: nats per token, weighted by tokens; step 0: untuned."""

    final_losses: pd.DataFrame = field(default_factory=lambda: _empty(FINAL_LOSSES))
    """The loss before and after tuning, as above."""

    scores: dict[str, pd.DataFrame] = field(default_factory=dict)
    """experiment → id, base, tuned: the main metric of each example or window (tuned: mean over
    seeds), on the experiment's own task."""

    answer_words: dict[str, pd.DataFrame] = field(default_factory=dict)
    """experiment → reference, base and each "seed N": words of each answer, on the experiment's own
    task, where answers are generated."""

    examples: list[ExampleTable] = field(default_factory=list)
    """Of each task and base, see `collect_examples`; own tasks before others."""

    own_answers: dict[str, pd.DataFrame] = field(default_factory=dict)
    """experiment → text, and the answer of each system to it: "base", "seed N"."""

    continuations: dict[str, pd.DataFrame] = field(default_factory=dict)
    """experiment → prompt, base, tuned (texts; tuned by the first seed)."""

    confusions: dict[str, dict] = field(default_factory=dict)
    """experiment → {"labels": K names, "base": K×K counts, "tuned": K×K counts}, rows = true;
    tuned: mean over seeds."""

    records: dict[str, dict] = field(default_factory=dict)
    """task → counts: rows (of a text paragraphs, headings, chunks), unread {reason: n},
    records, unusable {reason: n}, beyond_max_records, duplicates, near_duplicates and
    near_duplicate_threshold where they were looked for, kept, splits, parts of a mixture
    {dataset: n}, notes (sentences on how the data were read), groups and chapters {split: n},
    divided_chapters, the codes of `data.reasons.Leak`, tokenized_for (the model in
    whose tokens the next are counted), split_up, truncated, dropped, without_reasoning and
    without_tools where there are any, class_weights {label: weight}, padding_share (0 to 1),
    supervised_tokens; any may be absent, and other keys are shown under their own names."""

    costs: pd.DataFrame = field(default_factory=lambda: _empty(COSTS))
    """One row for each job; peak_memory_gb and tokens_per_second may be NaN."""

    times: pd.DataFrame = field(default_factory=lambda: _empty(TIMES))
    """When each of these jobs ran: see `report.times`."""

    provenance: dict = field(default_factory=dict)
    """Versions, commit, digests, seeds: a dict of values, lists and dicts. A text under "hardware"
    (or "machine") stands at the top of the page too."""

    checkouts: list[Checkout] = field(default_factory=list)
    """By which code the jobs ran, each once, in the order of the stages."""

    downloads: dict[str, str] = field(default_factory=dict)
    """file name → CSV text, offered as a link; what is too large for the page lies beside it."""

    confidence: float = numbers.CONFIDENCE
    """Of every interval; 1 - confidence is the level at which a difference is significant."""

    title: str = "What tuning changed"

    @property
    def level(self) -> float:
        """What a p-value must be below."""
        return outcomes.level(self.confidence)

    def outcome(self, fact: Fact) -> Outcome:
        return outcomes.outcome(fact, self.level, self.margins.get(fact.metric))

    def within(self, fact: Fact) -> float | None:
        """The margin that the fact's interval lies within; None where there is none."""
        margin = self.margins.get(fact.metric)
        return margin if outcomes.is_within(fact, margin) else None

    def own_facts(self) -> list[Fact]:
        return outcomes.own_facts(self.facts, self.experiments)

    def cross_task_facts(self) -> list[Fact]:
        return outcomes.cross_task_facts(self.facts, self.experiments)

    def decimals(self, fact: Fact) -> int:
        """See `numbers.shared_decimals`; a tuned figure has them beside a baseline's too."""
        return self._decimals(fact)

    @cached_property
    def _decimals(self) -> Callable[[Fact], int]:
        return numbers.shared_decimals(self.facts)

    def baseline_title(self, name: str) -> str:
        return self.baseline_titles.get(name, name.replace("_", " "))

    def metric_title(self, metric: str) -> str:
        return self.metrics.get(metric, {}).get("title", metric)

    def higher_is_better(self, experiment: str) -> bool:
        """The good direction of an experiment's main metric, from the facts."""
        metric = self.experiments[experiment].get("main_metric")
        for fact in self.facts:
            if fact.metric == metric:
                return fact.higher_is_better
        return self.experiments[experiment].get("outputs") != "text"

"""What limits the figures of a run: one list, for the page and for docs/method.md.

Each limit has a condition, in `conditions`, and a sentence that the condition's details complete;
the page shows the sentence where the condition holds. `limits_docs` writes the list into
docs/method.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deltatune.report.data import ReportData
from deltatune.report.words import conditions

Details = Mapping[str, Any]
"""Texts, counts, lists of names or a mapping: all that a sentence names."""


@dataclass(frozen=True)
class Limit:
    id: str
    weight: int
    """The heaviest that holds is the strongest limit, which stands at the top of the page; with 0
    it never does."""
    when: str
    """The condition in words, for the docs."""
    sentence: str
    short: str
    """For the top of the page, a few words; empty with weight 0."""
    condition: Callable[[ReportData], Iterator[Details]]
    """The details of each time that it holds."""


LIMITS = (
    # ------------------------------------------------------------ what results are
    Limit(
        "missing_results",
        210,
        "the page is that of `snakemake report_partial`",
        "The run is not finished: {missing} missing, named at the top of the page. p-values are "
        "adjusted for the comparisons that there are.",
        "the run is not finished",
        conditions.missing_results,
    ),
    Limit(
        "other_settings",
        200,
        "the manifest of a result has other settings than the run",
        "Results that were made with other settings than those of this run: {jobs}. What "
        "snakemake says at its start makes them again.",
        "results were made with other settings than those of this run",
        conditions.other_settings,
    ),
    # ------------------------------------------------------------ how settings were chosen
    Limit(
        "chosen_on_test",
        100,
        "`chosen_on: test` of an experiment",
        "{experiments}: the settings were chosen by figures of the test split. Intervals and "
        "p-values do not account for that choice, so they are optimistic. Choose your own settings "
        "by the validation split.",
        "settings were chosen on the test split (optimistic)",
        conditions.chosen_on_test,
    ),
    # ------------------------------------------------------------ leaks
    Limit(
        "contained",
        95,
        "test records that are contained in training records were counted",
        "Leakage, {task}: {count} of {total} test records ({share}) are contained in a training "
        "record, with {least} of their word 3-grams or more.",
        "{share} of the test records of {task} are contained in training records",
        conditions.contained,
    ),
    Limit(
        "repeated_prompt",
        94,
        "test prompts that stand in training with another answer were counted",
        "Leakage, {task}: {count} of {total} test prompts ({share}) stand in the training data "
        "with another answer; `split.group` with the columns of the prompt would keep equal "
        "prompts in one split.",
        "{share} of the test prompts of {task} stand in training",
        conditions.repeated_prompt,
    ),
    Limit(
        "repeated_answer",
        72,
        "test references that stand among the training outputs were counted",
        "Leakage, {task}: {count} of {total} test references ({share}) stand verbatim among the "
        "training outputs, so repeating outputs of the training data can be right.",
        "{share} of the references of {task} stand in training",
        conditions.repeated_answer,
    ),
    # ------------------------------------------------------------ the base
    Limit(
        "base_at_chance",
        92,
        "the base hardly ever writes a label and is no better than chance (`at_chance_for_format`)",
        "{experiments}: the median probability that the base writes any label of {task} is "
        "{label_mass}, and {largest} of its predictions are one label. It does not know the "
        "format, so its figure is one of chance ({chance}), and a gain over it can be the format "
        "alone.",
        "the base does not know the labels' format on {task}",
        conditions.base_at_chance,
    ),
    Limit(
        "base_cut_off",
        90,
        "at least 10% of the base's answers were cut at `max_new_tokens`, or its share differs "
        "from that of tuned by as much",
        "{experiment} on {task}: {base} of the base's answers were cut at `max_new_tokens` and "
        "{tuned} of the tuned ones, so a part of the difference can be how answers end.",
        "{base} of the base's answers on {task} were cut off",
        conditions.base_cut_off,
    ),
    Limit(
        "copy_beats_base",
        74,
        "the input, copied as the answer, scores at least as much as the base",
        "{task}: its input copied as the answer scores {copied} in {metric}, the base {base}. "
        "What tuning gains over such a base says little.",
        "copying the input of {task} scores no less than the base",
        conditions.copy_beats_base,
    ),
    # ------------------------------------------------------------ how tuned systems answer
    Limit(
        "length_changed",
        54,
        "the median length of the tuned answers is less than half or more than twice that of the "
        "base's answers, or of the references",
        "{experiment} on {task}: words of the median answer: {tuned} tuned, {base} of the base, "
        "{reference} of the references. Scores of answers change with their length.",
        "the length of answers on {task} changed much with tuning",
        conditions.length_changed,
    ),
    Limit(
        "one_word",
        86,
        "the median of the tuned answers is one word or none, that of the references more",
        "{experiment} on {task}: at least half of the tuned answers have one word at most; the "
        "median reference has {reference}.",
        "tuned answers on {task} have become one word",
        conditions.one_word,
    ),
    Limit(
        "repetition",
        82,
        "at least 10% of the word 4-grams of the tuned answers repeat an earlier one, and more "
        "than of the base's",
        "{experiment} on {task}: {tuned} of the word 4-grams of the tuned answers repeat an "
        "earlier one of the same answer, {base} of the base's.",
        "tuned answers on {task} repeat themselves",
        conditions.repetition,
    ),
    Limit(
        "empty",
        60,
        "answers were empty",
        "{experiments} on {task}, {system}: {count} of {total} answers are empty.",
        "some answers on {task} are empty",
        conditions.empty,
    ),
    Limit(
        "unfinished",
        40,
        "answers were cut",
        "{experiments} on {task}, {system}: {count} of {total} answers were cut at "
        "max_new_tokens before they ended.",
        "some answers on {task} were cut off",
        conditions.unfinished,
    ),
    Limit(
        "prompts_cut",
        58,
        "prompts were cut",
        "{experiments} on {task}, {system}: {count} of {total} prompts were too long and were cut.",
        "some prompts on {task} were cut",
        conditions.prompts_cut,
    ),
    Limit(
        "not_asked",
        59,
        "the chat template of the model refuses test conversations",
        "{experiment} on {task}: {count} of {total} conversations were not asked, as the model's "
        "chat template refuses them ({reason}).",
        "some conversations of {task} were not asked",
        conditions.not_asked,
    ),
    Limit(
        "sampled",
        61,
        "answers were drawn at random (`evaluation.sampling`)",
        "{experiments} on {task}: answers were drawn at random (temperature {temperature}), one "
        "for each record with one seed. Intervals do not cover what other draws would give.",
        "answers on {task} are one random draw for each record",
        conditions.sampled,
    ),
    # ------------------------------------------------------------ seeds
    Limit(
        "one_seed",
        80,
        "a run has one training seed",
        "With one training seed, all that is stated is of this adapter. What chance in training "
        "does to the result is not known, so nothing is stated of the recipe.",
        "one training seed, so this says nothing of the recipe",
        conditions.one_seed,
    ),
    Limit(
        "two_seeds",
        64,
        "a run has two training seeds",
        "With two training seeds there is no test of the recipe, and its interval is rough: what "
        "is called better or worse is so for these two adapters. From three seeds on the recipe "
        "is tested.",
        "two training seeds, so the recipe is not tested",
        conditions.two_seeds,
    ),
    Limit(
        "seed_spread",
        62,
        "a difference is shown, and the standard deviation over seeds is half of it or more",
        "{experiment} on {task}: {metric} varies over training seeds (SD {seed_sd}) by half of "
        "the difference or more ({delta}).",
        "seeds differ much in {experiment} on {task}",
        conditions.seed_spread,
    ),
    # ------------------------------------------------------------ how much is tested
    Limit(
        "few_clusters",
        78,
        "a task has fewer than 5 independent units",
        "{task} was evaluated on {clusters}, which is too few for a test: its figures are for this "
        "text only.",
        "{task} has {clusters}, so its figures are for this text only",
        conditions.few_clusters,
    ),
    Limit(
        "few_examples",
        50,
        "a task has fewer than 30 independent units, and 5 or more",
        "{task} was evaluated on {clusters} only, so small differences cannot be shown.",
        "{task} has {clusters} only",
        conditions.few_examples,
    ),
    Limit(
        "few_differing",
        46,
        "most examples, or most clusters, score the same and fewer than 20 differ",
        "{experiment} on {task}, {metric}: {differing} of {n} differ between base and tuned, too "
        "few for an interval.",
        "few {unit} of {task} differ",
        conditions.few_differing,
    ),
    Limit(
        "nothing_varies",
        44,
        "no example differs between base and tuned, or all by the same amount",
        "{experiment} on {task}, {metric}: no {unit} differ between base and tuned, or all by the "
        "same amount. Up to {bound} of {unit} that do otherwise cannot be excluded (rule of "
        "three).",
        "{unit} of {task} differ all alike or not at all",
        conditions.nothing_varies,
    ),
    Limit(
        "rare_class",
        56,
        "a class has fewer than 5 test examples",
        "{task}: {classes} have fewer than 5 test examples, so what is stated of these classes, "
        "and macro F1, rests on few.",
        "{task} has classes with fewer than 5 test examples",
        conditions.rare_class,
    ),
    Limit(
        "absent_class",
        57,
        "a class has no test example",
        "{task}: no test example is of {classes}, so the figures say nothing of that.",
        "{task} lacks test examples of some classes",
        conditions.absent_class,
    ),
    Limit(
        "one_test_split",
        10,
        "always",
        "One test split is one sample of a task. Intervals cover other records of the same kind, "
        "not other tasks.",
        "one test split is one sample of each task",
        conditions.one_test_split,
    ),
    Limit(
        "secondary",
        5,
        "other metrics than the main one have p-values",
        "Only the main metric of each experiment and task is tested with a correction for the "
        "number of comparisons. Other metrics are unadjusted and marked †: of {rows} with a "
        "p-value, about {expected} would be below {level} without any difference.",
        "other metrics are not corrected for their number",
        conditions.secondary,
    ),
    Limit(
        "left_out_pairs",
        0,
        "`cross_task` left out a pair that cannot be evaluated fairly",
        "{experiment} was not evaluated on {task}: {reason}.",
        "",
        conditions.left_out_pairs,
    ),
    # ------------------------------------------------------------ how it was measured
    Limit(
        "tiny_model",
        70,
        "a model has `source: pretrain`",
        "{model} is a tiny model, trained from scratch in this run: what it gains on these data "
        "says nothing of what a real model would gain.",
        "{model} is tiny and says nothing of real models",
        conditions.tiny_model,
    ),
    Limit(
        "metric",
        66,
        "a metric reports it",
        "{experiments} on {task} ({systems}): {text}.",
        "a metric does not fit the texts of {task}",
        conditions.metric,
    ),
    Limit(
        "batch_sizes",
        52,
        "memory ran out for one of the systems",
        "{experiment} on {task}: memory ran out, so base and tuned were evaluated with different "
        "batch sizes ({sizes}). In 4-bit or 16-bit precision that alone can change an answer; set "
        "the task's evaluation.batch_size to the smallest of them to rule it out.",
        "base and tuned had different batch sizes in {experiment}",
        conditions.batch_sizes,
    ),
    Limit(
        "windows",
        15,
        "a task is scored in windows of a text",
        "{task}: perplexity depends on the tokenizer and on the {context} tokens that a window "
        "reads, so it does not compare with figures of other models or other windows; word "
        "perplexity and bits per byte depend on the window alone.",
        "perplexity on {task} depends on tokenizer and windows",
        conditions.windows,
    ),
    Limit(
        "gpu",
        20,
        "a job ran on a GPU",
        "4-bit training on a GPU is not deterministic, so adapters differ slightly from run to "
        "run; on one kind of processor, with the pinned versions, they are bit-identical.",
        "training on a GPU is not deterministic",
        conditions.gpu,
    ),
    Limit(
        "one_by_one",
        0,
        "a model lets the documents of a packed row see each other",
        "{experiments}: in {model} the documents of a packed row would see each other, so each was "
        "computed as a row of its own: the same steps and loss, in more time.",
        "",
        conditions.one_by_one,
    ),
    # ------------------------------------------------------------ what became of the records
    Limit(
        "no_leakage",
        0,
        "duplicates were looked for and there are none",
        "Leakage, {tasks}: no test or validation record repeats a training record ({tested}).",
        "",
        conditions.no_leakage,
    ),
    Limit(
        "duplicates",
        0,
        "duplicates were left out",
        "Leakage, {task}: {what} were left out of the splits ({tested}).",
        "",
        conditions.duplicates,
    ),
    Limit(
        "truncated",
        30,
        "documents were cut to the length of a row",
        "{task}: {count} documents were longer than a row and were cut.",
        "documents of {task} were cut to fit a row",
        conditions.truncated,
    ),
)

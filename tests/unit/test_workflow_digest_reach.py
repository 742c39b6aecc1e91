"""What a stage must not depend on: packages and modules that its script never reaches.

An import that breaks this makes a stage run again for edits that cannot change its result. Move
what is shared to a module of its own instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from deltatune.tasks.registry import available_kinds
from deltatune.workflow import digest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
KINDS = tuple(f"deltatune.tasks.{kind}" for kind in available_kinds())

#: What no stage reaches: it is what asks for stages.
AROUND = ("config", "recipes", "plan", "preview", "workflow", "archive", "ask")
#: The way of text to token ids.
TEXT = (
    *("tokens/answer_ids", "tokens/chat", "tokens/cutting", "tokens/encode", "tokens/labels"),
    *("tokens/packing", "tokens/prompts", "tokens/writer"),
)
PACKING = ("tokens/cutting", "tokens/encode", "tokens/packing", "tokens/shards", "tokens/writer")
LEARNING = ("models", "train")
JUDGING = ("metrics", "compare", "evaluate", "report")

#: Script -> (packages and modules that it does not reach, the plugins that its rule names).
NOT_REACHED: dict[str, tuple[Iterable[str], tuple[str, ...]]] = {
    "fetch_dataset": (("fetch/model", "tokens", "tasks", *LEARNING, *JUDGING), ()),
    "mix_datasets": (
        ("fetch", "data/splits", "data/readers/read", "tokens", "tasks", *LEARNING, *JUDGING),
        (),
    ),
    "chunk_text": (("fetch", "tokens", "tasks", *LEARNING, *JUDGING), ()),
    "split_dataset": (
        # Of metrics a kind of task knows the languages.
        (
            *("fetch", "tokens/ids", "tokens/chat", *PACKING, *LEARNING),
            *("compare", "evaluate", "report"),
        ),
        KINDS,
    ),
    # Of models it knows what refuses one before its weights are fetched.
    "fetch_model": (
        (
            *("data", *TEXT, "tokens/ids", "tokens/tokenizer", "tasks", "train"),
            *("models/load", "models/quantization"),
            *("models/lora", "models/merge", "models/memory", "models/pretrain", *JUDGING),
        ),
        (),
    ),
    "pretrain_model": (
        (
            *("fetch", "tokens/answer_ids", "tokens/chat", *PACKING, "train"),
            *("models/load", "models/quantization", "compare", "evaluate", "report"),
        ),
        KINDS,
    ),
    "quantize_model": (("fetch", "data", "tasks", "train", *TEXT, *JUDGING), ()),
    "tokenize_split": (("fetch", *LEARNING, "compare", "evaluate", "report"), KINDS),
    "train_adapter": (
        ("fetch", "data", "tasks", *TEXT, "tokens/ids", "tokens/tokenizer", *JUDGING),
        (),
    ),
    "merge_adapter": (("fetch", "train", "compare", "report"), KINDS),
    "generate_answers": (
        (
            *("fetch", "train", "compare", "report", *PACKING, "evaluate/likelihood"),
            *("evaluate/likelihood_settings", "evaluate/label_likelihood_settings"),
        ),
        KINDS,
    ),
    "answer_prompts": (
        (
            *("fetch", "train", "compare", "report", *PACKING, "evaluate/likelihood"),
            *("evaluate/likelihood_settings", "evaluate/label_likelihood_settings"),
        ),
        KINDS,
    ),
    "score_text": (
        (
            *("fetch", "train", "compare", "report", *PACKING, "tokens/chat", "tokens/labels"),
            *("evaluate/generate", "evaluate/label_likelihood"),
            *("evaluate/generate_settings", "evaluate/label_likelihood_settings"),
        ),
        KINDS,
    ),
    "score_labels": (
        (
            *("fetch", "train", "compare", "report", *PACKING, "tokens/chat"),
            *("evaluate/generate", "evaluate/likelihood"),
            *("evaluate/generate_settings", "evaluate/likelihood_settings"),
        ),
        KINDS,
    ),
    "compute_metrics": (
        ("fetch", "data", "tokens", "tasks", *LEARNING, "compare", "report"),
        ("deltatune.metrics.answers.bleu", "deltatune.metrics.text.perplexity"),
    ),
    "fit_answer_baselines": (
        (
            *("fetch", "tokens/ids", "tokens/chat", *PACKING, *LEARNING, "compare", "report"),
            *("evaluate/settings", "evaluate/outputs"),
        ),
        KINDS,
    ),
    "fit_label_baselines": (
        (
            *("fetch", "tokens/ids", "tokens/chat", *PACKING, *LEARNING, "compare", "report"),
            *("evaluate/settings", "evaluate/outputs"),
        ),
        KINDS,
    ),
    **{
        name: (("fetch", "data", "tokens", "tasks", *LEARNING, "evaluate", "report"), ())
        for name in ("compare_systems", "compare_baselines", "join_comparisons")
    },
    **{
        name: (
            (
                *("fetch", "data", "tokens", "tasks", *LEARNING, "metrics", "evaluate"),
                *("compare/statistics", "compare/intervals", "compare/permutation"),
                *("report/words/phrases", "report/words/sentences", "report/words/verdict"),
                *("report/words/first_screen", "report/words/limits", "report/page"),
                *("report/sections", "report/collect", "report/settings"),
            ),
            (),
        )
        for name in ("plot_forest", "plot_losses", "plot_differences", "plot_confusion")
    },
    "render_tables": (
        (
            *("fetch", "data", "tokens", "tasks", *LEARNING, "metrics", "evaluate"),
            *("compare/statistics", "compare/intervals", "compare/permutation"),
            *("report/figures", "report/words", "report/page", "report/sections"),
        ),
        (),
    ),
    "render_report": (
        (
            *("fetch", "data/splits", "data/readers", "tokens", "tasks", *LEARNING, "metrics"),
            *("evaluate", "compare/statistics", "compare/intervals", "compare/permutation"),
        ),
        (),
    ),
    "archive_run": (
        ("fetch", "data", "tokens", "tasks", *LEARNING, *JUDGING, "config", "plan", "workflow"),
        (),
    ),
}
#: Scripts that no digest is made of: plan and preview run always, the others are for people.
WITHOUT_DIGEST = {
    *(
        "print_plan",
        "print_preview",
        "render_partial",
        "try_model",
        "audit_packages",
        "import_recipe",
    ),
}


def reached(script: str, plugins: tuple[str, ...]) -> set[str]:
    """The modules that a script reaches, as `train/train`, and their packages."""
    library = SCRIPTS / "deltatune"
    files = digest.reached(SCRIPTS / f"{script}.py", plugins)
    modules = {
        file.relative_to(library).with_suffix("").as_posix()
        for file in files
        if file.is_relative_to(library) and file.stem != "__init__"
    }
    return modules | {parent.as_posix() for name in modules for parent in Path(name).parents}


@pytest.mark.parametrize("script", NOT_REACHED)
def test_a_script_does_not_reach_what_its_result_does_not_depend_on(script):
    names, plugins = NOT_REACHED[script]
    around = () if script == "archive_run" else AROUND
    modules = reached(script, plugins)
    assert "core/stage" in modules
    assert sorted(modules & {*names, *around}) == []


def test_every_script_is_listed_and_every_name_exists():
    scripts = {file.stem for file in SCRIPTS.glob("*.py")}
    assert scripts == NOT_REACHED.keys() | WITHOUT_DIGEST
    names = {name for listed, _ in NOT_REACHED.values() for name in listed}
    paths = {name: SCRIPTS / "deltatune" / name for name in names}
    assert [n for n, p in paths.items() if not (p.is_dir() or p.with_suffix(".py").exists())] == []


def test_what_is_reached_is_seen():
    assert {"train", "train/train", "models/lora"} <= reached("train_adapter", ())
    assert {"tasks/prose", "tokens/prompts"} <= reached("pretrain_model", KINDS)

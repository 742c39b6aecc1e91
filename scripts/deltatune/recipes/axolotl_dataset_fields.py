"""The fields of a data set in Axolotl's recipes, and what becomes of each here.

Names from the classes of src/axolotl/utils/schemas/datasets.py.
"""

from __future__ import annotations

from deltatune.recipes.fields import Rows

LISTS = ("datasets", "test_datasets", "pretraining_dataset")
"""Fields that hold a list of data sets."""
_TASK = "tasks.NAME."

_DATASETS: Rows = [
    ("ours", "datasets.NAME.id", "path"),
    ("ours", "datasets.NAME.config", "name"),
    ("ours", "datasets.NAME.split", "split"),
    ("ours", "datasets.NAME.path", "data_files"),
    ("ours", "datasets.NAME.format", "ds_type"),
    ("ours", "datasets.NAME.revision", "revision"),
    ("ours", _TASK + "kind", "type"),
    (
        "ours",
        "datasets.NAME.columns",
        "field field_messages field_tools text_column",
    ),
    (
        "always",
        "the roles and keys of messages are known by their usual names",
        "roles message_property_mappings message_field_role message_field_content "
        "message_field_training field_thinking template_thinking_key",
    ),
    (
        "always",
        "the loss is taken on the turns of the assistant, each with the token that ends it",
        "roles_to_train train_on_eos train_on_eot",
    ),
    (
        "always",
        "a conversation is rendered by the model's own chat template",
        "chat_template conversation",
    ),
    (
        "always",
        "a `<think>` block is reasoning, see `thinking` of a task",
        "split_thinking",
    ),
    ("unneeded", "no code of a repository is run", "trust_remote_code"),
    ("unneeded", "records are read in a stream", "preprocess_shards"),
    (
        "none",
        "columns are named in `columns`; nothing else changes the records",
        "input_transform input_format field_human field_model drop_system_message",
    ),
    ("none", "a template of your own is not taken", "chat_template_jinja"),
    ("none", "loss on parts of a turn", "message_field_training_detail"),
    ("none", "all records are read, see `split.max_records` of a task", "shards shards_idx skip"),
    ("none", "distillation", "logprobs_field temperature"),
    (
        "refused",
        "preference pairs, rewards and steps are not trained on",
        "field_chosen field_rejected step_separator max_completion_length train_on_last_step_only",
    ),
    (
        "refused",
        "made-up tokens measure speed alone",
        "length sequence_length min_input_id max_input_id seed",
    ),
]


def dataset_rows() -> Rows:
    """The rows of the table, by the list that the data set stands in."""
    for lists in LISTS:
        for status, text, names in _DATASETS:
            yield status, text, " ".join(f"{lists}[].{name}" for name in names.split())

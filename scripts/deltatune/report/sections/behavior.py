"""How base and tuned answer, beside what their answers are worth."""

from collections.abc import Callable, Mapping

from deltatune.core.table import Cell, Column, Row, Table, table
from deltatune.report import numbers
from deltatune.report.data import Pair, ReportData

NAME, TITLE = "behavior", "Behavior"


def _count(value: float | None) -> str:
    return numbers.NOTHING if value is None else numbers.format_count_mean(value)


def _share(value: float | None) -> str:
    return numbers.NOTHING if value is None else numbers.format_share(value)


def _probability(value: float | None) -> str:
    """'97%', '0.35%', '3.4e-18': without percent where it is below 0.1%."""
    if value is None or value == 0 or value >= 0.001:
        return _share(value)
    return f"{value:.2g}"


ANSWERS: dict[str, tuple[str, Callable]] = {
    "words_median": ("Words, median", _count),
    "words_mean": ("Words, mean", _count),
    "reference_words_median": ("Reference words, median", _count),
    "tokens_mean": ("Tokens, mean", _count),
    "truncated_share": ("Cut off", _share),
    "empty_share": ("Empty", _share),
    "repeated_4grams": ("Repeated 4-grams", _share),
    "distinct_share": ("Different answers", _share),
}
LABELS: dict[str, tuple[str, Callable]] = {
    "label_mass": ("Probability on the labels", _probability),
    "largest_predicted_share": ("Share of the label predicted most", _share),
    "chance": ("Accuracy by chance", _share),
}


def view(data: ReportData) -> list[Table] | None:
    """Two tables, of answers and of labels, those that have rows: for each task a row of the base
    and one of each experiment."""
    tables = [
        _table("answers", "How they answer", ANSWERS, data, data.behavior),
        _table("labels", "How they choose labels", LABELS, data, data.label_checks),
    ]
    return [one for one in tables if any(one.rows)] or None


def _table(
    name: str,
    title: str,
    columns: Mapping[str, tuple[str, Callable]],
    data: ReportData,
    pairs: Mapping[Pair, Mapping[str, Mapping]],
) -> Table:
    """A base is that of all experiments of its model, so it has one row on each task."""
    models = {data.experiments[experiment].get("model", "") for experiment, _ in pairs}
    groups: dict[tuple[str, str], dict[str, Mapping]] = {}
    for (experiment, task), systems in pairs.items():
        model = data.experiments[experiment].get("model", "")
        base = f"base, {model}" if len(models) > 1 else "base"
        rows = groups.setdefault((task, model), {base: systems["base"]})
        rows[f"tuned, {experiment}"] = systems["tuned"]
    heads = [Column(key, text, "number") for key, (text, _) in columns.items()]
    return table(
        name,
        title,
        [Column("task", "Task"), Column("system", "System"), *heads],
        [
            Row(
                {
                    "task": Cell(task),
                    "system": Cell(system),
                    **{
                        key: Cell(write(figures.get(key)), figures.get(key))
                        for key, (_, write) in columns.items()
                    },
                }
            )
            for (task, _), systems in groups.items()
            for system, figures in systems.items()
        ],
        sortable=True,
    )

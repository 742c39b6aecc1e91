"""The metrics, found by the name of their file and imported only when one is asked for.

`available_metrics` and `source` look at the folder alone, so a workflow that only needs the names
does not pay the seconds that `evaluate` takes to import. `load_metric` imports the one file.

Adding a metric is adding a file: `deltatune/metrics/<outputs>/<name>.py` with one subclass of
`deltatune.metrics.base.Metric`, which says what it must define.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from deltatune.core.errors import UserError
from deltatune.core.text import did_you_mean

if TYPE_CHECKING:
    from deltatune.metrics.base import Metric

Outputs = Literal["answers", "text", "labels"]
"""The kinds of output that have metrics; each is a folder of metrics beside this file."""

OUTPUTS: tuple[Outputs, ...] = get_args(Outputs)


def available_metrics(outputs: str) -> list[str]:
    """Name the metrics for one kind of outputs, sorted, without importing any of them.

    Raises UserError for a kind of outputs that does not exist.
    """
    if outputs not in OUTPUTS:
        raise UserError(
            f"there are no metrics for outputs {outputs!r}{did_you_mean(outputs, OUTPUTS)}: "
            f"choose one of {', '.join(OUTPUTS)}"
        )
    folder = Path(__file__).parent / outputs
    return sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_"))


def metric_file(outputs: str, name: str) -> Path:
    """Give the file of a metric.

    Raises UserError for a metric that does not exist, with the nearest name that does.
    """
    names = available_metrics(outputs)
    if name not in names:
        raise UserError(
            f"metrics: there is no metric {name!r} for {outputs}{did_you_mean(name, names)}. "
            f"There are {', '.join(names)}; a new one is the file "
            f"scripts/deltatune/metrics/{outputs}/{name}.py"
        )
    return Path(__file__).parent / outputs / f"{name}.py"


def load_metric(
    outputs: str, name: str, labels: Sequence[str] = (), language: str = "en"
) -> "Metric":
    """Make the metric `name` for one kind of outputs ("answers", "text" or "labels").

    labels, language: of the task, which a metric may need; macro_f1 needs labels.
    Raises UserError when the name is unknown, when a package that the metric needs is not
    installed, and when its file does not hold exactly one complete Metric class.
    """
    file = metric_file(outputs, name)
    where = f"scripts/deltatune/metrics/{outputs}/{name}.py"
    from deltatune.metrics.base import Metric

    try:
        module = importlib.import_module(f"deltatune.metrics.{outputs}.{file.stem}")
    except ModuleNotFoundError as error:
        raise UserError(
            f"metrics: {name} needs the Python package {error.name!r}, which is not installed in "
            f"this environment: install it, or leave {name} out of the task's metrics"
        ) from error
    # Only what the file itself defines: it imports base classes and may import other metrics.
    classes = {
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Metric)
        and value.__module__ == module.__name__
    }
    if len(classes) != 1:
        names = ", ".join(sorted(value.__name__ for value in classes)) or "none"
        raise UserError(f"{where} must define exactly one subclass of Metric, not: {names}")
    (metric,) = classes
    missing = [key for key in ("title", "higher_is_better", "inputs") if not hasattr(metric, key)]
    if missing:
        raise UserError(f"{where}: the class {metric.__name__} lacks {', '.join(missing)}")
    return metric(labels=labels, language=language)

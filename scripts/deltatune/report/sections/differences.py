"""A forest plot for each task."""

from deltatune.report import numbers, outcomes
from deltatune.report.data import ReportData
from deltatune.report.figures import embed, forest


def view(data: ReportData) -> list[dict]:
    """A plot of the experiments tuned on each task: what they cost on other tasks can be
    hundreds of times larger, and stands in the table."""
    tuned_on = {name: one.get("task") for name, one in data.experiments.items()}
    tasks = data.comparison["task"]
    own = data.comparison[data.comparison["experiment"].map(tuned_on).fillna(tasks) == tasks]
    titles = {metric: data.metric_title(metric) for metric in data.comparison["metric"]}
    result = []
    for number, (task, rows) in enumerate(own.groupby("task", sort=False)):
        main = {task: outcomes.main_metric(rows, data.experiments)}
        differences = [
            f"{row['experiment']}, {titles[row['metric']]} "
            + numbers.format_signed(row["delta"], numbers.decimals_for(row))
            for row in rows.to_dict("records")
        ]
        interval = numbers.interval_name(data.confidence)
        alt = f"Differences on {task} with their {interval}s: {'; '.join(differences)}."
        figure = forest.plot(rows, titles, main, data.confidence)
        result.append({"task": task, **embed.view(figure, alt, f"forest{number}")})
    return result

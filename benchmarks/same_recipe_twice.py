"""How often two halves of one recipe's seeds are called different: an A/A test on real adapters.

    snakemake --cores 2 --config 'seeds=[1,2,3,4,5,6,7,8]'
    python benchmarks/same_recipe_twice.py PROJECT

PROJECT is the folder of the finished run. Each of the 35 ways to split the eight seeds into two
fours is compared as if they were two experiments, by the functions and with the families of the
pipeline, and the report's first sentence is written for it. There is no true difference: a claim is
false. The ways share their adapters, so claims come in bunches.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pandas as pd
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from deltatune.compare import fact, family, paired
from deltatune.core import label_file
from deltatune.report.data import ReportData
from deltatune.report.outcomes import DECIDED
from deltatune.report.words import verdict
from deltatune.workflow.flow import Flow

SEEDS = range(1, 9)


def halves() -> list[tuple[list[int], list[int]]]:
    """The splits of eight seeds into two fours, each once."""
    others = itertools.combinations([seed for seed in SEEDS if seed != 1], 3)
    ways = [[1, *three] for three in others]
    return [(one, [seed for seed in SEEDS if seed not in one]) for one in ways]


def tables(
    flow: Flow, scores: dict, classes: dict, one: list[int], two: list[int]
) -> list[pd.DataFrame]:
    """comparison.csv and cross_task.csv of the seeds of `two` against those of `one`."""
    confidence = flow.settings.statistics.confidence
    result = []
    for pairs in (own_pairs(flow), flow.cross_task):
        rows = [
            paired.compare(
                [scores[experiment, task, seed] for seed in one],
                [scores[experiment, task, seed] for seed in two],
                flow.params.comparison(experiment, task),
                classes[task],
            )
            for experiment, task in pairs
        ]
        result.append(family.join(rows, confidence))
    return result


def own_pairs(flow: Flow) -> list[tuple[str, str]]:
    return [(name, experiment.task) for name, experiment in flow.experiments.items()]


def main() -> None:
    project = Path(sys.argv[1])
    settings = yaml.safe_load((project / "config.yaml").read_text(encoding="utf-8"))
    flow = Flow(settings | {"seeds": list(SEEDS)})
    scores = {
        (experiment, task, seed): pd.read_parquet(
            project
            / f"results/evaluations/test/{task}/tuned/{experiment}/seed-{seed}/scores.parquet"
        )
        for experiment, task in [*own_pairs(flow), *flow.cross_task]
        for seed in SEEDS
    }
    files = {task: flow.paths.labels(task) for _, task in [*own_pairs(flow), *flow.cross_task]}
    classes = {task: label_file.read(file and project / file) for task, file in files.items()}
    experiments = {
        name: {"task": one.task, "model": one.model, "unit": "examples", "seeds": [1, 2, 3, 4]}
        for name, one in flow.experiments.items()
    }
    main_claims, secondary_claims, main_rows, secondary_rows = 0, 0, 0, 0
    helped_or_hurt, sentences = 0, []
    print(
        f"{'seeds':9} {'against':9} {'main rows':>9} {'claimed':>8} {'secondary':>9} {'claimed':>8}"
    )
    for one, two in halves():
        facts = [
            row
            for table in tables(flow, scores, classes, one, two)
            for row in fact.from_frame(table)
        ]
        data = ReportData(facts=facts, experiments=experiments)
        claimed = [row for row in facts if data.outcome(row) in DECIDED]
        counts = [
            sum(row.main for row in facts),
            sum(row.main for row in claimed),
            sum(not row.main for row in facts),
            sum(not row.main for row in claimed),
        ]
        main_rows, main_claims = main_rows + counts[0], main_claims + counts[1]
        secondary_rows, secondary_claims = secondary_rows + counts[2], secondary_claims + counts[3]
        text = verdict.summarize(data).text
        if any(word in text for word in ("helped", "hurt", "became worse")):
            helped_or_hurt += 1
            sentences.append(f"{one} against {two}: {text}")
        names = ("".join(map(str, seeds)) for seeds in (one, two))
        print(*(f"{name:9}" for name in names), "{:9} {:8} {:9} {:8}".format(*counts))
    print(
        f"\nmain rows (Holm): {main_claims} of {main_rows} claimed ({main_claims / main_rows:.1%})"
    )
    print(
        f"secondary rows (unadjusted): {secondary_claims} of {secondary_rows} claimed "
        f"({secondary_claims / secondary_rows:.1%})"
    )
    print(f"first sentences that say helped, hurt or worse: {helped_or_hurt} of {len(halves())}")
    print(*sentences, sep="\n")


if __name__ == "__main__":
    main()

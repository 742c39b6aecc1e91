# Tuned against base, example by example.


# On a cluster: seconds of work on small tables, less than a job takes to be queued.
localrules:
    compare_systems,
    join_comparisons,
    compare_baselines,


rule compare_systems:
    input:
        base=lambda w: flow.paths.evaluated(w.experiment, "scores.parquet", w.task)[
            "base"
        ],
        tuned=lambda w: flow.paths.evaluated(w.experiment, "scores.parquet", w.task)[
            "tuned"
        ],
    output:
        comparison="results/comparisons/{experiment}/{task}.csv",
    log:
        "results/logs/compare_systems/{experiment}/{task}.log",
    benchmark:
        "results/benchmarks/compare_systems/{experiment}/{task}.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=lambda w: flow.params.comparison(w.experiment, w.task),
        code=lambda w: flow.params.metrics_code("compare_systems", w.task),
    message:
        "Comparing {wildcards.experiment} with its base on {wildcards.task}"
    script:
        "../scripts/compare_systems.py"


rule join_comparisons:
    input:
        comparisons=lambda w: flow.paths.comparisons(w.table),
    output:
        comparison=report(
            "results/{table}.csv",
            caption="../report/comparison.rst",
            category="Comparison",
            labels={"table": "{table}"},
        ),
    log:
        "results/logs/join_comparisons/{table}.log",
    benchmark:
        "results/benchmarks/join_comparisons/{table}.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings={"confidence": flow.params.section("statistics")["confidence"]},
        # Snakemake compares inputs as a set; here their order is that of the rows.
        order=lambda w: flow.paths.comparisons(w.table),
        code=flow.params.code("join_comparisons"),
    message:
        "Joining {wildcards.table}.csv and adjusting its p-values"
    script:
        "../scripts/join_comparisons.py"


rule compare_baselines:
    input:
        scores=[
            path
            for one in flow.params.baseline_comparisons()
            for path in [*one["baselines"].values(), *one["tuned"]]
        ],
    output:
        comparison=report(
            "results/baselines.csv",
            caption="../report/baselines.rst",
            category="Comparison",
            labels={"table": "baselines"},
        ),
    log:
        "results/logs/compare_baselines.log",
    benchmark:
        "results/benchmarks/compare_baselines.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=flow.params.baseline_comparisons(),
        code=flow.params.main_metrics_code("compare_baselines"),
    message:
        "Comparing tuned systems with plain baselines"
    script:
        "../scripts/compare_baselines.py"

# Tuned against base, example by example.


# On a cluster: seconds of work on small tables, less than a job takes to be queued.
localrules:
    compare_systems,
    join_comparisons,
    compare_baselines,


rule compare_systems:
    input:
        unpack(flow.inputs.compare_systems),
        labels=flow.inputs.labels,
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
        settings=flow.params.compare_systems,
        code=flow.code.with_metrics("compare_systems"),
    message:
        "Comparing {wildcards.experiment} with its base on {wildcards.task}"
    script:
        "../scripts/compare_systems.py"


rule join_comparisons:
    input:
        comparisons=flow.inputs.join_comparisons,
    output:
        comparison="results/{table}.csv",
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
        settings=flow.params.join_comparisons,
        code=flow.code.of("join_comparisons"),
    message:
        "Joining {wildcards.table}.csv and adjusting its p-values"
    script:
        "../scripts/join_comparisons.py"


rule compare_baselines:
    input:
        unpack(flow.inputs.compare_baselines),
    output:
        comparison="results/baselines.csv",
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
        settings=flow.params.compare_baselines,
        code=flow.code.with_main_metrics("compare_baselines"),
    message:
        "Comparing tuned systems with plain baselines"
    script:
        "../scripts/compare_baselines.py"

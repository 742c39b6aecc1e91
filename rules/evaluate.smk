# Answers and log-likelihoods of a system on a task's test split, base and tuned alike, and those of
# plain baselines on the same records.


rule generate_answers:
    input:
        unpack(flow.inputs.system),
        test="results/tasks/{task}/test.parquet",
        model=ancient(flow.inputs.base_model),
    output:
        answers="results/evaluations/{task}/{system}/answers.parquet",
        manifest="results/evaluations/{task}/{system}/answers.json",
    log:
        "results/logs/generate_answers/{task}/{system}.log",
    benchmark:
        "results/benchmarks/generate_answers/{task}/{system}.tsv"
    conda:
        flow.resources.environment("evaluate")
    resources:
        **flow.resources.with_model(minutes=240),
        cache_mb=flow.resources.cache_mb,
    params:
        script="generate_answers",
        settings=flow.params.generate_answers,
        code=flow.code.with_kind("generate_answers"),
    message:
        "Generating answers of {wildcards.system} on {wildcards.task}"
    script:
        "../scripts/{params.script}.py"


use rule generate_answers as score_text with:
    output:
        text="results/evaluations/{task}/{system}/text.parquet",
        manifest="results/evaluations/{task}/{system}/text.json",
    log:
        "results/logs/score_text/{task}/{system}.log",
    benchmark:
        "results/benchmarks/score_text/{task}/{system}.tsv"
    params:
        script="score_text",
        settings=flow.params.score_text,
        code=flow.code.with_kind("score_text"),
    message:
        "Computing log-likelihoods of the text of {wildcards.task} under {wildcards.system}"


use rule generate_answers as score_labels with:
    output:
        labels="results/evaluations/{task}/{system}/labels.parquet",
        manifest="results/evaluations/{task}/{system}/labels.json",
    log:
        "results/logs/score_labels/{task}/{system}.log",
    benchmark:
        "results/benchmarks/score_labels/{task}/{system}.tsv"
    params:
        script="score_labels",
        settings=flow.params.score_labels,
        code=flow.code.with_kind("score_labels"),
    message:
        "Computing log-likelihoods of the labels of {wildcards.task} under {wildcards.system}"


rule compute_metrics:
    input:
        outputs=flow.inputs.compute_metrics,
    output:
        scores="results/evaluations/{task}/{system}/scores.parquet",
        metrics="results/evaluations/{task}/{system}/metrics.json",
        table="results/evaluations/{task}/{system}/metrics.csv",
    log:
        "results/logs/compute_metrics/{task}/{system}.log",
    benchmark:
        "results/benchmarks/compute_metrics/{task}/{system}.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        **flow.resources.growing(mem_mb=3000, minutes=120),
    params:
        settings=flow.params.compute_metrics,
        code=flow.code.with_metrics("compute_metrics"),
    message:
        "Computing the metrics of {wildcards.system} on {wildcards.task}"
    script:
        "../scripts/compute_metrics.py"


rule fit_answer_baselines:
    input:
        train="results/tasks/{task}/train.parquet",
        test="results/tasks/{task}/test.parquet",
    output:
        **flow.paths.baseline_outputs("answers"),
    log:
        "results/logs/fit_answer_baselines/{task}.log",
    benchmark:
        "results/benchmarks/fit_answer_baselines/{task}.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        **flow.resources.growing(mem_mb=4000, minutes=120),
    params:
        script="fit_answer_baselines",
        settings=flow.params.fit_baselines,
        code=flow.code.with_kind_and_metrics("fit_answer_baselines"),
    message:
        "Answering {wildcards.task} by plain baselines"
    script:
        "../scripts/{params.script}.py"


use rule fit_answer_baselines as fit_label_baselines with:
    output:
        **flow.paths.baseline_outputs("labels"),
    log:
        "results/logs/fit_label_baselines/{task}.log",
    benchmark:
        "results/benchmarks/fit_label_baselines/{task}.tsv"
    params:
        script="fit_label_baselines",
        settings=flow.params.fit_baselines,
        code=flow.code.with_kind_and_metrics("fit_label_baselines"),
    message:
        "Labeling {wildcards.task} by plain baselines"

# Answers and log-likelihoods of a system on one split of a task, base and tuned alike, and those of
# plain baselines on the same records. All that is compared and reported is of the test split; the
# validation split is evaluated where its results are asked for.


rule generate_answers:
    input:
        unpack(flow.inputs.system),
        records="results/tasks/{task}/{split}.parquet",
        model=ancient(flow.inputs.base_model),
    output:
        answers="results/evaluations/{split}/{task}/{system}/answers.parquet",
        manifest="results/evaluations/{split}/{task}/{system}/answers.json",
    log:
        "results/logs/generate_answers/{split}/{task}/{system}.log",
    benchmark:
        "results/benchmarks/generate_answers/{split}/{task}/{system}.tsv"
    conda:
        flow.resources.environment("evaluate")
    resources:
        **flow.resources.for_evaluation(),
    params:
        settings=flow.params.generate_answers,
        code=flow.code.with_kind("generate_answers"),
    message:
        "Generating answers of {wildcards.system} on {wildcards.split} of {wildcards.task}"
    script:
        "../scripts/generate_answers.py"


rule answer_prompts:
    input:
        unpack(flow.inputs.answer_prompts),
        model=ancient(flow.inputs.base_model),
    output:
        answers="results/prompts/{task}/{system}/answers.parquet",
        table="results/prompts/{task}/{system}/answers.csv",
        manifest="results/prompts/{task}/{system}/answers.json",
    log:
        "results/logs/answer_prompts/{task}/{system}.log",
    benchmark:
        "results/benchmarks/answer_prompts/{task}/{system}.tsv"
    conda:
        flow.resources.environment("evaluate")
    resources:
        **flow.resources.for_evaluation(),
    params:
        settings=flow.params.answer_prompts,
        code=flow.code.with_kind("answer_prompts"),
    message:
        "Answering your prompts as {wildcards.system} in the form of {wildcards.task}"
    script:
        "../scripts/answer_prompts.py"


rule score_text:
    input:
        unpack(flow.inputs.system),
        records="results/tasks/{task}/{split}.parquet",
        model=ancient(flow.inputs.base_model),
    output:
        text="results/evaluations/{split}/{task}/{system}/text.parquet",
        manifest="results/evaluations/{split}/{task}/{system}/text.json",
    log:
        "results/logs/score_text/{split}/{task}/{system}.log",
    benchmark:
        "results/benchmarks/score_text/{split}/{task}/{system}.tsv"
    conda:
        flow.resources.environment("evaluate")
    resources:
        **flow.resources.for_evaluation(),
    params:
        settings=flow.params.score_text,
        code=flow.code.with_kind("score_text"),
    message:
        "Computing log-likelihoods of {wildcards.split} text of {wildcards.task} under {wildcards.system}"
    script:
        "../scripts/score_text.py"


rule score_labels:
    input:
        unpack(flow.inputs.system),
        records="results/tasks/{task}/{split}.parquet",
        labels=flow.inputs.labels,
        model=ancient(flow.inputs.base_model),
    output:
        labels="results/evaluations/{split}/{task}/{system}/labels.parquet",
        manifest="results/evaluations/{split}/{task}/{system}/labels.json",
    log:
        "results/logs/score_labels/{split}/{task}/{system}.log",
    benchmark:
        "results/benchmarks/score_labels/{split}/{task}/{system}.tsv"
    conda:
        flow.resources.environment("evaluate")
    resources:
        **flow.resources.for_evaluation(),
    params:
        settings=flow.params.score_labels,
        code=flow.code.with_kind("score_labels"),
    message:
        "Computing log-likelihoods of labels on {wildcards.split} of {wildcards.task} under {wildcards.system}"
    script:
        "../scripts/score_labels.py"


rule compute_metrics:
    input:
        outputs=flow.inputs.compute_metrics,
        labels=flow.inputs.labels,
    output:
        scores="results/evaluations/{split}/{task}/{system}/scores.parquet",
        metrics="results/evaluations/{split}/{task}/{system}/metrics.json",
        table="results/evaluations/{split}/{task}/{system}/metrics.csv",
    log:
        "results/logs/compute_metrics/{split}/{task}/{system}.log",
    benchmark:
        "results/benchmarks/compute_metrics/{split}/{task}/{system}.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        **flow.resources.growing(mem_mb=3000, minutes=120),
    params:
        settings=flow.params.compute_metrics,
        code=flow.code.with_metrics("compute_metrics"),
    message:
        "Computing the metrics of {wildcards.system} on {wildcards.split} of {wildcards.task}"
    script:
        "../scripts/compute_metrics.py"


rule fit_answer_baselines:
    input:
        train="results/tasks/{task}/train.parquet",
        records="results/tasks/{task}/{split}.parquet",
    output:
        **flow.paths.baseline_outputs("answers"),
    log:
        "results/logs/fit_answer_baselines/{split}/{task}.log",
    benchmark:
        "results/benchmarks/fit_answer_baselines/{split}/{task}.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        **flow.resources.growing(mem_mb=4000, minutes=120),
    params:
        settings=flow.params.fit_baselines,
        code=flow.code.with_kind_and_metrics("fit_answer_baselines"),
    message:
        "Answering {wildcards.split} of {wildcards.task} by plain baselines"
    script:
        "../scripts/fit_answer_baselines.py"


rule fit_label_baselines:
    input:
        train="results/tasks/{task}/train.parquet",
        records="results/tasks/{task}/{split}.parquet",
        labels=flow.inputs.labels,
    output:
        **flow.paths.baseline_outputs("labels"),
    log:
        "results/logs/fit_label_baselines/{split}/{task}.log",
    benchmark:
        "results/benchmarks/fit_label_baselines/{split}/{task}.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        **flow.resources.growing(mem_mb=4000, minutes=120),
    params:
        settings=flow.params.fit_baselines,
        code=flow.code.with_kind_and_metrics("fit_label_baselines"),
    message:
        "Labeling {wildcards.split} of {wildcards.task} by plain baselines"
    script:
        "../scripts/fit_label_baselines.py"

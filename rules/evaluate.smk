# Answers and log-likelihoods of a system on a task's test split, base and tuned alike, and those of
# plain baselines on the same records.

from deltatune.evaluate.baselines.registry import BASELINES


rule generate_answers:
    input:
        unpack(lambda w: flow.paths.system_hashes(w.system)),
        test="results/tasks/{task}/test.parquet",
        model=lambda w: ancient(flow.paths.model_dir(w.system)),
    output:
        answers="results/evaluations/{task}/{system}/answers.parquet",
        manifest="results/evaluations/{task}/{system}/answers.json",
    log:
        "results/logs/generate_answers/{task}/{system}.log",
    benchmark:
        "results/benchmarks/generate_answers/{task}/{system}.tsv"
    conda:
        lambda w: flow.resources.environment("evaluate", flow.base_of(w.system)[1])
    resources:
        mem_mb=lambda w, attempt: flow.resources.memory(
            flow.base_of(w.system)[0], attempt
        ),
        runtime=lambda w, attempt: flow.resources.minutes(
            240, attempt, flow.base_of(w.system)[0]
        ),
        gpu=lambda w: flow.resources.needs_gpu(flow.base_of(w.system)[0]),
        gpu_model=lambda w: flow.resources.gpu_type(flow.base_of(w.system)[0]),
        slurm_partition=lambda w: flow.resources.partition(flow.base_of(w.system)[0]),
    params:
        settings=lambda w: flow.params.evaluation(
            "generate_answers", w.task, w.system, "labels", "prompt", "chat"
        ),
        code=lambda w: flow.params.kind_code("generate_answers", w.task),
    message:
        "Generating answers of {wildcards.system} on {wildcards.task}"
    script:
        "../scripts/generate_answers.py"


rule score_text:
    input:
        unpack(lambda w: flow.paths.system_hashes(w.system)),
        test="results/tasks/{task}/test.parquet",
        model=lambda w: ancient(flow.paths.model_dir(w.system)),
    output:
        text="results/evaluations/{task}/{system}/text.parquet",
        manifest="results/evaluations/{task}/{system}/text.json",
    log:
        "results/logs/score_text/{task}/{system}.log",
    benchmark:
        "results/benchmarks/score_text/{task}/{system}.tsv"
    conda:
        lambda w: flow.resources.environment("evaluate", flow.base_of(w.system)[1])
    resources:
        mem_mb=lambda w, attempt: flow.resources.memory(
            flow.base_of(w.system)[0], attempt
        ),
        runtime=lambda w, attempt: flow.resources.minutes(
            240, attempt, flow.base_of(w.system)[0]
        ),
        gpu=lambda w: flow.resources.needs_gpu(flow.base_of(w.system)[0]),
        gpu_model=lambda w: flow.resources.gpu_type(flow.base_of(w.system)[0]),
        slurm_partition=lambda w: flow.resources.partition(flow.base_of(w.system)[0]),
    params:
        settings=lambda w: flow.params.evaluation("score_text", w.task, w.system),
        code=lambda w: flow.params.kind_code("score_text", w.task),
    message:
        "Computing log-likelihoods of the text of {wildcards.task} under {wildcards.system}"
    script:
        "../scripts/score_text.py"


rule score_labels:
    input:
        unpack(lambda w: flow.paths.system_hashes(w.system)),
        test="results/tasks/{task}/test.parquet",
        model=lambda w: ancient(flow.paths.model_dir(w.system)),
    output:
        labels="results/evaluations/{task}/{system}/labels.parquet",
        manifest="results/evaluations/{task}/{system}/labels.json",
    log:
        "results/logs/score_labels/{task}/{system}.log",
    benchmark:
        "results/benchmarks/score_labels/{task}/{system}.tsv"
    conda:
        lambda w: flow.resources.environment("evaluate", flow.base_of(w.system)[1])
    resources:
        mem_mb=lambda w, attempt: flow.resources.memory(
            flow.base_of(w.system)[0], attempt
        ),
        runtime=lambda w, attempt: flow.resources.minutes(
            240, attempt, flow.base_of(w.system)[0]
        ),
        gpu=lambda w: flow.resources.needs_gpu(flow.base_of(w.system)[0]),
        gpu_model=lambda w: flow.resources.gpu_type(flow.base_of(w.system)[0]),
        slurm_partition=lambda w: flow.resources.partition(flow.base_of(w.system)[0]),
    params:
        settings=lambda w: flow.params.evaluation(
            "score_labels", w.task, w.system, "labels", "prompt", "max_length"
        ),
        code=lambda w: flow.params.kind_code("score_labels", w.task),
    message:
        "Computing log-likelihoods of the labels of {wildcards.task} under {wildcards.system}"
    script:
        "../scripts/score_labels.py"


rule compute_metrics:
    input:
        outputs=lambda w: flow.paths.outputs(w.task, w.system),
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
        mem_mb=lambda w, attempt: 3000 * attempt,
        runtime=lambda w, attempt: flow.resources.minutes(120, attempt),
    params:
        settings=lambda w: flow.params.task(w.task, "labels", "language", "metrics"),
        code=lambda w: flow.params.metrics_code("compute_metrics", w.task),
    message:
        "Computing the metrics of {wildcards.system} on {wildcards.task}"
    script:
        "../scripts/compute_metrics.py"


rule fit_answer_baselines:
    input:
        train="results/tasks/{task}/train.parquet",
        test="results/tasks/{task}/test.parquet",
    output:
        outputs=expand(
            "results/evaluations/{{task}}/baseline/{name}/answers.parquet",
            name=BASELINES["answers"],
        ),
        manifests=expand(
            "results/evaluations/{{task}}/baseline/{name}/answers.json",
            name=BASELINES["answers"],
        ),
        scores=expand(
            "results/evaluations/{{task}}/baseline/{name}/scores.parquet",
            name=BASELINES["answers"],
        ),
        metrics=expand(
            "results/evaluations/{{task}}/baseline/{name}/metrics.json",
            name=BASELINES["answers"],
        ),
        tables=expand(
            "results/evaluations/{{task}}/baseline/{name}/metrics.csv",
            name=BASELINES["answers"],
        ),
    log:
        "results/logs/fit_answer_baselines/{task}.log",
    benchmark:
        "results/benchmarks/fit_answer_baselines/{task}.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=lambda w, attempt: flow.resources.minutes(120, attempt),
    params:
        settings=lambda w: flow.params.baselines(w.task),
        code=lambda w: flow.params.baselines_code("fit_answer_baselines", w.task),
    message:
        "Answering {wildcards.task} by plain baselines"
    script:
        "../scripts/fit_answer_baselines.py"


rule fit_label_baselines:
    input:
        train="results/tasks/{task}/train.parquet",
        test="results/tasks/{task}/test.parquet",
    output:
        outputs=expand(
            "results/evaluations/{{task}}/baseline/{name}/labels.parquet",
            name=BASELINES["labels"],
        ),
        manifests=expand(
            "results/evaluations/{{task}}/baseline/{name}/labels.json",
            name=BASELINES["labels"],
        ),
        scores=expand(
            "results/evaluations/{{task}}/baseline/{name}/scores.parquet",
            name=BASELINES["labels"],
        ),
        metrics=expand(
            "results/evaluations/{{task}}/baseline/{name}/metrics.json",
            name=BASELINES["labels"],
        ),
        tables=expand(
            "results/evaluations/{{task}}/baseline/{name}/metrics.csv",
            name=BASELINES["labels"],
        ),
    log:
        "results/logs/fit_label_baselines/{task}.log",
    benchmark:
        "results/benchmarks/fit_label_baselines/{task}.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=lambda w, attempt: flow.resources.minutes(120, attempt),
    params:
        settings=lambda w: flow.params.baselines(w.task),
        code=lambda w: flow.params.baselines_code("fit_label_baselines", w.task),
    message:
        "Labeling {wildcards.task} by plain baselines"
    script:
        "../scripts/fit_label_baselines.py"

# Text -> packed rows of tokens, for one task and one model's tokenizer.


rule tokenize_split:
    input:
        records="results/tasks/{task}/{split}.parquet",
        model=ancient("results/models/{model}/model"),
        tokenizer="results/models/{model}/tokenizer.sha256",
    output:
        shards=directory("results/tokens/{task}/{model}/{split}"),
        hashes="results/tokens/{task}/{model}/{split}.sha256",
        manifest="results/tokens/{task}/{model}/{split}.json",
    log:
        "results/logs/tokenize_split/{task}/{model}/{split}.log",
    benchmark:
        "results/benchmarks/tokenize_split/{task}/{model}/{split}.tsv"
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=lambda w, attempt: flow.resources.minutes(120, attempt),
    params:
        settings=lambda w: flow.params.task(
            w.task, "labels", "prompt", "chat", "max_length"
        ),
        code=lambda w: flow.params.kind_code("tokenize_split", w.task),
    message:
        "Tokenizing {wildcards.split} of {wildcards.task} for {wildcards.model}"
    script:
        "../scripts/tokenize_split.py"

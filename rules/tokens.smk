# Text -> packed rows of tokens, for one task and one model's tokenizer.


rule tokenize_split:
    input:
        records="results/tasks/{task}/{split}.parquet",
        labels=flow.inputs.labels,
        model=ancient("results/models/{model}/model"),
        tokenizer="results/models/{model}/tokenizer.sha256",
    output:
        shards=directory("results/tokens/{task}/{model}/{split}"),
        hashes="results/tokens/{task}/{model}/{split}.sha256",
        pieces="results/tokens/{task}/{model}/{split}.parquet",
        excluded="results/tokens/{task}/{model}/{split}.excluded.csv",
        manifest="results/tokens/{task}/{model}/{split}.json",
    log:
        "results/logs/tokenize_split/{task}/{model}/{split}.log",
    benchmark:
        "results/benchmarks/tokenize_split/{task}/{model}/{split}.tsv"
    wildcard_constraints:
        split="train|validation",
    conda:
        "../envs/train.yaml"
    resources:
        **flow.resources.growing(mem_mb=4000, minutes=120),
        cache_mb=flow.resources.cache_mb,
    params:
        settings=flow.params.tokenize_split,
        code=flow.code.with_kind("tokenize_split"),
    message:
        "Tokenizing {wildcards.split} of {wildcards.task} for {wildcards.model}"
    script:
        "../scripts/tokenize_split.py"

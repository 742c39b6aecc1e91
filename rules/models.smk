# Untuned models, each an ordinary Hugging Face folder with the hashes of its files beside it.


# On a cluster: the nodes that jobs run on often reach no network.
localrules:
    fetch_model,


rule pretrain_model:
    input:
        corpus=flow.inputs.pretrain_model,
    output:
        model=directory("results/models/{model}/model"),
        weights="results/models/{model}/weights.sha256",
        tokenizer="results/models/{model}/tokenizer.sha256",
        manifest="results/models/{model}/manifest.json",
    log:
        "results/logs/pretrain_model/{model}.log",
    benchmark:
        "results/benchmarks/pretrain_model/{model}.tsv"
    wildcard_constraints:
        model=flow.models_from("pretrain"),
    priority: 50
    conda:
        "../envs/train.yaml"
    threads: flow.resources.pretrain_threads
    resources:
        **flow.resources.growing(mem_mb=3000, minutes=60),
    params:
        settings=flow.params.pretrain_model,
        code=flow.code.with_corpus("pretrain_model"),
    message:
        "Pre-training the base model {wildcards.model}"
    script:
        "../scripts/pretrain_model.py"


rule fetch_model:
    input:
        # Of a model on this machine; its content is a param.
        source=ancient(flow.inputs.fetch_model),
    output:
        model=directory("results/models/{model}/model"),
        weights="results/models/{model}/weights.sha256",
        tokenizer="results/models/{model}/tokenizer.sha256",
        manifest="results/models/{model}/manifest.json",
    log:
        "results/logs/fetch_model/{model}.log",
    benchmark:
        "results/benchmarks/fetch_model/{model}.tsv"
    wildcard_constraints:
        model=flow.models_from("local", "hub"),
    priority: 50
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        settings=flow.params.fetch_model,
        content=flow.params.model_content,
        code=flow.code.of("fetch_model"),
    message:
        "Fetching the base model {wildcards.model}"
    script:
        "../scripts/fetch_model.py"


rule quantize_model:
    input:
        model=ancient("results/models/{model}/model"),
        weights="results/models/{model}/weights.sha256",
        calibration="results/tokens/{task}/{model}/train.sha256",
    output:
        model=directory("results/models/{model}/gptq-{task}/model"),
        weights="results/models/{model}/gptq-{task}/weights.sha256",
        manifest="results/models/{model}/gptq-{task}/manifest.json",
    log:
        "results/logs/quantize_model/{model}/gptq-{task}.log",
    benchmark:
        "results/benchmarks/quantize_model/{model}/gptq-{task}.tsv"
    priority: 40
    conda:
        "../envs/gptq.yaml"
    # gptqmodel needs a second worker, or deadlocks.
    threads: 2
    resources:
        # gptqmodel takes the whole model into main memory, in 16 bits.
        **flow.resources.with_model(minutes=480, whole=True),
    params:
        settings=flow.params.quantize_model,
        code=flow.code.of("quantize_model"),
    message:
        "Quantizing {wildcards.model} with GPTQ on the training text of {wildcards.task}"
    script:
        "../scripts/quantize_model.py"

# One adapter for each experiment and seed.


rule train_adapter:
    input:
        unpack(flow.inputs.train_adapter),
        model=ancient(flow.inputs.base_model),
    output:
        adapter=directory("results/experiments/{experiment}/seed-{seed}/adapter"),
        hashes="results/experiments/{experiment}/seed-{seed}/adapter.sha256",
        losses="results/experiments/{experiment}/seed-{seed}/loss.csv",
        manifest="results/experiments/{experiment}/seed-{seed}/manifest.json",
    log:
        "results/logs/train_adapter/{experiment}/seed-{seed}.log",
    benchmark:
        "results/benchmarks/train_adapter/{experiment}/seed-{seed}.tsv"
    # The longest jobs first, so that evaluation fills the cores behind them.
    priority: 20
    conda:
        flow.resources.environment("train")
    threads: flow.resources.train_threads
    resources:
        **flow.resources.for_training(minutes=720),
        cache_mb=flow.resources.cache_mb,
        gpu_jobs=lambda wildcards: flow.resources.gpu_jobs(workflow.global_resources),
    params:
        settings=flow.params.train_adapter,
        code=flow.code.of("train_adapter"),
    message:
        "Training {wildcards.experiment}, seed {wildcards.seed}"
    script:
        "../scripts/train_adapter.py"

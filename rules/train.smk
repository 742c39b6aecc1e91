# One adapter for each experiment and seed.


rule train_adapter:
    input:
        model=lambda w: ancient(flow.paths.model_dir(flow.base(w.experiment))),
        weights=lambda w: flow.paths.system_hashes(flow.base(w.experiment))["weights"],
        train=lambda w: flow.paths.tokens(w.experiment, "train"),
        validation=lambda w: flow.paths.tokens(w.experiment, "validation"),
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
        lambda w: flow.resources.environment(
            "train", flow.experiment(w.experiment).quantization
        )
    threads: lambda w: flow.resources.train_threads(w.experiment)
    resources:
        mem_mb=lambda w, attempt: flow.resources.train_memory(w.experiment, attempt),
        runtime=lambda w, attempt: flow.resources.minutes(
            720, attempt, flow.experiment(w.experiment).model
        ),
        gpu=lambda w: flow.resources.train_gpus(w.experiment),
        gpu_model=lambda w: flow.resources.gpu_type(flow.experiment(w.experiment).model),
        slurm_partition=lambda w: flow.resources.partition(
            flow.experiment(w.experiment).model
        ),
    params:
        settings=lambda w: flow.params.training(w.experiment, w.seed),
        code=flow.params.code("train_adapter", "deltatune.train.worker"),
    message:
        "Training {wildcards.experiment}, seed {wildcards.seed}"
    script:
        "../scripts/train_adapter.py"

# One adapter for each experiment and seed.


rule train_adapter:
    input:
        model=lambda w: ancient(flow.model_folder(flow.base(w.experiment))),
        weights=lambda w: flow.system(flow.base(w.experiment))["weights"],
        train=lambda w: flow.tokens(w.experiment, "train"),
        validation=lambda w: flow.tokens(w.experiment, "validation"),
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
        lambda w: flow.environment("train", flow.experiment(w.experiment).quantization)
    threads: lambda w: flow.train_threads(w.experiment)
    resources:
        mem_mb=lambda w, attempt: flow.train_memory(w.experiment, attempt),
        runtime=lambda w, attempt: flow.minutes(
            720, attempt, flow.experiment(w.experiment).model
        ),
        gpu=lambda w: flow.train_gpus(w.experiment),
        gpu_model=lambda w: flow.gpu_type(flow.experiment(w.experiment).model),
        slurm_partition=lambda w: flow.partition(flow.experiment(w.experiment).model),
    params:
        settings=lambda w: flow.training(w.experiment, w.seed),
        code=flow.code("train_adapter", "deltatune.train.worker"),
    message:
        "Training {wildcards.experiment}, seed {wildcards.seed}"
    script:
        "../scripts/train_adapter.py"

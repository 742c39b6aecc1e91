# `snakemake merge`: each chosen experiment as one 16-bit model, ready for inference.


rule merge:
    input:
        # The first seed: one model is what is put to use. Ask for another by its path.
        expand(
            "results/merged/{experiment}/seed-{seed}/manifest.json",
            experiment=flow.experiments,
            seed=flow.settings.seeds[0],
        ),


rule merge_adapter:
    input:
        # What cannot be merged has no inputs, so it is refused before anything is trained for it.
        unpack(lambda w: flow.paths.merge_inputs(w.experiment, w.seed)),
        model=lambda w: ancient(flow.paths.merge_model(w.experiment)),
    output:
        model=directory("results/merged/{experiment}/seed-{seed}/model"),
        hashes="results/merged/{experiment}/seed-{seed}/merged.sha256",
        manifest="results/merged/{experiment}/seed-{seed}/manifest.json",
    log:
        "results/logs/merge_adapter/{experiment}/seed-{seed}.log",
    benchmark:
        "results/benchmarks/merge_adapter/{experiment}/seed-{seed}.tsv"
    conda:
        "../envs/train.yaml"
    resources:
        # The 16-bit model stands in main memory, and is written from there.
        mem_mb=lambda w, attempt: flow.resources.memory(
            flow.experiment(w.experiment).model, attempt, whole=True
        ),
        runtime=lambda w, attempt: flow.resources.minutes(
            120, attempt, flow.experiment(w.experiment).model
        ),
        gpu=lambda w: flow.resources.needs_gpu(flow.experiment(w.experiment).model),
        gpu_model=lambda w: flow.resources.gpu_type(flow.experiment(w.experiment).model),
        slurm_partition=lambda w: flow.resources.partition(
            flow.experiment(w.experiment).model
        ),
    params:
        settings=lambda w: flow.params.merging(w.experiment),
        code=lambda w: flow.params.kind_code(
            "merge_adapter", flow.experiment(w.experiment).task
        ),
    message:
        "Merging {wildcards.experiment}, seed {wildcards.seed}, into one model"
    script:
        "../scripts/merge_adapter.py"

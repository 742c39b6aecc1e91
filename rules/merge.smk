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
        unpack(flow.inputs.merge_adapter),
        model=ancient(flow.inputs.merged_model),
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
        **flow.resources.with_model(minutes=120, whole=True),
    params:
        settings=flow.params.merge_adapter,
        code=flow.code.with_kind("merge_adapter"),
    message:
        "Merging {wildcards.experiment}, seed {wildcards.seed}, into one model"
    script:
        "../scripts/merge_adapter.py"

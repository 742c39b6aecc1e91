# Raw records -> clean, disjoint splits.


# On a cluster: the nodes that jobs run on often reach no network.
localrules:
    fetch_dataset,


rule fetch_dataset:
    input:
        # Its content is a param; its modification time does not matter.
        source=ancient(flow.inputs.fetch_dataset),
    output:
        records="results/datasets/{dataset}/records.parquet",
        rejects="results/datasets/{dataset}/rejects.csv",
        manifest="results/datasets/{dataset}/manifest.json",
    log:
        "results/logs/fetch_dataset/{dataset}.log",
    benchmark:
        "results/benchmarks/fetch_dataset/{dataset}.tsv"
    wildcard_constraints:
        dataset=flow.datasets_from(is_mixture=False),
    # Bad data should stop a run before it has trained anything.
    priority: 100
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        settings=flow.params.fetch_dataset,
        content=flow.params.dataset_content,
        code=flow.code.of("fetch_dataset"),
    message:
        "Fetching dataset {wildcards.dataset}"
    script:
        "../scripts/fetch_dataset.py"


rule mix_datasets:
    input:
        unpack(flow.inputs.mix_datasets),
    output:
        records="results/datasets/{dataset}/records.parquet",
        rejects="results/datasets/{dataset}/rejects.csv",
        manifest="results/datasets/{dataset}/manifest.json",
    log:
        "results/logs/mix_datasets/{dataset}.log",
    benchmark:
        "results/benchmarks/mix_datasets/{dataset}.tsv"
    wildcard_constraints:
        dataset=flow.datasets_from(is_mixture=True),
    priority: 100
    conda:
        "../envs/data.yaml"
    resources:
        **flow.resources.growing(mem_mb=4000, minutes=30),
    params:
        settings=flow.params.mix_datasets,
        code=flow.code.of("mix_datasets"),
    message:
        "Mixing dataset {wildcards.dataset}"
    script:
        "../scripts/mix_datasets.py"


rule chunk_text:
    input:
        records="results/datasets/{dataset}/records.parquet",
    output:
        chunks="results/datasets/{dataset}/{dataset}_chunks.csv",
        source="results/datasets/{dataset}/{dataset}_source.txt",
        manifest="results/datasets/{dataset}/chunks.json",
    log:
        "results/logs/chunk_text/{dataset}.log",
    benchmark:
        "results/benchmarks/chunk_text/{dataset}.tsv"
    priority: 100
    conda:
        "../envs/data.yaml"
    resources:
        **flow.resources.growing(mem_mb=2000, minutes=30),
    params:
        settings=flow.params.chunk_text,
        code=flow.code.of("chunk_text"),
    message:
        "Chunking the text of {wildcards.dataset}"
    script:
        "../scripts/chunk_text.py"


rule split_dataset:
    input:
        unpack(flow.inputs.split_dataset),
    output:
        train="results/tasks/{task}/train.parquet",
        validation="results/tasks/{task}/validation.parquet",
        test="results/tasks/{task}/test.parquet",
        excluded="results/tasks/{task}/excluded.csv",
        labels="results/tasks/{task}/labels.json",
        manifest="results/tasks/{task}/manifest.json",
    log:
        "results/logs/split_dataset/{task}.log",
    benchmark:
        "results/benchmarks/split_dataset/{task}.tsv"
    priority: 100
    conda:
        "../envs/data.yaml"
    resources:
        **flow.resources.growing(mem_mb=4000, minutes=60),
    params:
        settings=flow.params.split_dataset,
        code=flow.code.with_kind("split_dataset"),
    message:
        "Splitting the records of task {wildcards.task}"
    script:
        "../scripts/split_dataset.py"

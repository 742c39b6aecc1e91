# `snakemake archive`: the run, its configuration and the project in one file to hand on.

from deltatune.archive import contents


rule archive:
    input:
        "results/archive.zip",


rule archive_run:
    input:
        results=lambda w: contents.results(flow),
        adapters=lambda w: [ancient(path) for path in contents.adapters(flow)],
        workflow=lambda w: contents.workflow(),
        sources=lambda w: contents.sources(flow),
        template=flow.paths.project("report/crate.html.j2"),
    output:
        archive="results/archive.zip",
    log:
        "results/logs/archive_run.log",
    benchmark:
        "results/benchmarks/archive_run.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        **flow.resources.growing(mem_mb=2000, minutes=60),
    params:
        settings=lambda w: contents.settings(flow, config),
        code=flow.code.of("archive_run"),
    message:
        "Archiving the run, its configuration and the project"
    script:
        "../scripts/archive_run.py"

# `snakemake preview`: the first rows of each task, token by token, as the model will see them.


localrules:
    preview,


rule preview:
    input:
        files=flow.inputs.preview,
        template=flow.paths.project("report/preview.html.j2"),
        style=flow.paths.project("report/style.css"),
    log:
        "results/logs/preview.log",
    conda:
        "../envs/train.yaml"
    params:
        settings=flow.params.print_preview,
    message:
        "Showing what is trained on"
    script:
        "../scripts/print_preview.py"

# `snakemake plan`: what each experiment will take, from the model's config.json alone.


localrules:
    plan,


rule plan:
    log:
        "results/logs/plan.log",
    conda:
        "../envs/evaluate.yaml"
    params:
        settings=flow.params.print_plan,
    message:
        "Estimating tokens, steps, memory and disk of the experiments"
    script:
        "../scripts/print_plan.py"

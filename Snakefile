# deltatune: from raw records to a report on what the tuning changed.
# Settings are in config.yaml of the folder that snakemake runs in, or else of the project;
# `snakemake --configfile FILE` takes another file in its place.

from snakemake.utils import min_version

min_version("9.17")


include: "rules/config.smk"


if config_files and not workflow.config_settings.configfiles:

    configfile: config_files[0]


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/models.smk"
include: "rules/tokens.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/compare.smk"
include: "rules/report.smk"
include: "rules/merge.smk"
include: "rules/archive.smk"
include: "rules/plan.smk"
include: "rules/preview.smk"


report: "report/workflow.rst"


rule all:
    default_target: True
    input:
        flow.paths.tables(),
        "results/report.html",
        "results/verdict.txt",
        flow.paths.figures(),
        # Named here too: of a job's missing outputs Snakemake sees those that are asked for.
        [one.page for one in flow.table_pages],

# Figures and the report.


# On a cluster: seconds of work on small tables, less than a job takes to be queued.
localrules:
    plot_forest,
    plot_losses,
    plot_differences,
    plot_confusion,
    render_tables,
    render_report,
    report_partial,


rule plot_forest:
    input:
        unpack(flow.inputs.plot_forest),
    output:
        figure=report(
            "results/figures/forest.svg",
            caption="../report/forest.rst",
            category="Comparison",
            subcategory="All experiments",
            labels={"shows": "Gains and harms with their intervals"},
        ),
    log:
        "results/logs/plot_forest.log",
    benchmark:
        "results/benchmarks/plot_forest.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=flow.params.plot_forest,
        code=flow.code.of("plot_forest"),
    message:
        "Plotting the difference of each experiment on each task"
    script:
        "../scripts/plot_forest.py"


rule plot_losses:
    input:
        losses=flow.inputs.plot_losses,
    output:
        figure=report(
            "results/figures/losses/{experiment}.svg",
            caption="../report/losses.rst",
            category="Training",
            subcategory="{experiment}",
            labels={"shows": "Training and validation loss"},
        ),
    log:
        "results/logs/plot_losses/{experiment}.log",
    benchmark:
        "results/benchmarks/plot_losses/{experiment}.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=flow.params.plot_losses,
        code=flow.code.of("plot_losses"),
    message:
        "Plotting the losses of {wildcards.experiment}"
    script:
        "../scripts/plot_losses.py"


rule plot_differences:
    input:
        unpack(flow.inputs.plot_differences),
    output:
        figure=report(
            "results/figures/differences/{experiment}.svg",
            caption="../report/differences.rst",
            category="Comparison",
            subcategory="{experiment}",
            labels={"shows": "Differences example by example"},
        ),
    log:
        "results/logs/plot_differences/{experiment}.log",
    benchmark:
        "results/benchmarks/plot_differences/{experiment}.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=flow.params.plot_differences,
        code=flow.code.of("plot_differences"),
    message:
        "Plotting the differences of {wildcards.experiment}"
    script:
        "../scripts/plot_differences.py"


rule plot_confusion:
    input:
        unpack(flow.inputs.plot_confusion),
        labels=flow.inputs.labels,
    output:
        figure=report(
            "results/figures/confusion/{experiment}.svg",
            caption="../report/confusion.rst",
            category="Comparison",
            subcategory="{experiment}",
            labels={"shows": "Confusion matrices"},
        ),
    log:
        "results/logs/plot_confusion/{experiment}.log",
    benchmark:
        "results/benchmarks/plot_confusion/{experiment}.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=flow.params.plot_confusion,
        code=flow.code.of("plot_confusion"),
    message:
        "Plotting the confusion matrices of {wildcards.experiment}"
    script:
        "../scripts/plot_confusion.py"


# In a rule of their own, since which tables there are depends on the settings: with another set of
# outputs Snakemake would take none of the page's records for it.
rule render_tables:
    input:
        tables=[one.csv for one in flow.table_pages],
        # Their content is a param; their modification times do not matter.
        styles=ancient(flow.paths.table_styles()),
    output:
        pages=[
            report(
                one.page,
                caption=f"../report/{one.caption}.rst",
                category=one.category,
                subcategory=one.subcategory,
                labels={"shows": one.title},
            )
            for one in flow.table_pages
        ],
    log:
        "results/logs/render_tables.log",
    benchmark:
        "results/benchmarks/render_tables.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        content=flow.params.table_styles,
        code=flow.code.of("render_tables"),
    message:
        "Writing the tables as pages"
    script:
        "../scripts/render_tables.py"


rule render_report:
    input:
        tables=flow.paths.tables(),
        files=flow.report.files,
        # Their content is a param; their modification times do not matter.
        template=ancient(flow.paths.page_files()[0]),
        parts=ancient(flow.paths.page_files()[1:]),
    output:
        page=report(
            "results/report.html",
            caption="../report/page.rst",
            category="Report",
            subcategory="All experiments",
            labels={"shows": "The whole page: what tuning changed"},
        ),
        verdict="results/verdict.txt",
    log:
        "results/logs/render_report.log",
    benchmark:
        "results/benchmarks/render_report.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=flow.params.render_report,
        plan=flow.report.plan,
        content=flow.params.page_content,
        code=flow.code.of("render_report"),
    message:
        "Writing the report"
    script:
        "../scripts/render_report.py"


# `snakemake report_partial`: the page of what is there, after a failure or a kill. Without inputs,
# so that nothing is made for it.
rule report_partial:
    log:
        "results/logs/report_partial.log",
    conda:
        "../envs/report.yaml"
    params:
        plan=flow.report.partial,
        settings=flow.params.render_report,
    message:
        "Writing a page of what is there"
    script:
        "../scripts/render_partial.py"

"""Write the page that compares base and tuned systems."""

from deltatune.core import stage

with stage.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune.report import collect, page, places
    from deltatune.report.settings import ReportSettings
    from deltatune.report.words import verdict

    data = collect.report_data(
        [Path(table) for table in snakemake.input.tables],
        places.exchange(snakemake.params.plan, lambda place: snakemake.input.files[place]),
        ReportSettings.from_params(snakemake.params.settings),
    )
    html = page.render(data, Path(snakemake.input.template))
    Path(snakemake.output.page).write_text(html, encoding="utf-8")
    text = verdict.summarize(data).text
    Path(snakemake.output.verdict).write_text(text, encoding="utf-8")
    terminal.say(f"{text}The report is {snakemake.output.page}")

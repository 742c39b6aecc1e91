"""Write the page of what is there of a run that is not finished."""

from deltatune.core import stage

with stage.stage(snakemake) as terminal:
    from deltatune.core.paths import ROOT, results_of
    from deltatune.report import collect, page, partial
    from deltatune.report.settings import ReportSettings
    from deltatune.report.words import verdict

    results = results_of(snakemake.log[0])
    settings = ReportSettings.from_params(snakemake.params.settings)
    finished = partial.finished(snakemake.params.plan, results)
    # Not an output: it is of what is there each time that it is requested.
    folder = results / "partial"
    tables = partial.write_tables(finished, folder, settings.confidence)
    data = collect.report_data(tables, finished.plan, settings)
    data.missing_results = finished.missing
    html = page.render(data, ROOT / "report" / "page.html.j2")
    (folder / "report.html").write_text(html, encoding="utf-8")
    terminal.say("\n".join(["", verdict.summarize(data).text, *finished.missing]))
    terminal.say(f"The page of what is there: {folder / 'report.html'}")

"""Show what is trained on: the first packed rows of each task, in the terminal and as a page."""

from deltatune.core import stage

with stage.stage(snakemake) as terminal:
    from pathlib import Path

    from deltatune.preview import page, tasks
    from deltatune.preview import terminal as text
    from deltatune.preview.settings import PreviewSettings

    settings = PreviewSettings.from_params(snakemake.params.settings)
    results = Path(snakemake.log[0]).parents[1]
    terminal.paint([(f"\n{text.LEGEND}\n", text.FAINT)])
    for view in tasks.views(settings, results, text.KEEP):
        terminal.paint(text.lines(view))
    # Not an output: the preview is to be made and printed each time that it is requested.
    file = results / "preview.html"
    views = tasks.views(settings, results, page.KEEP)
    file.write_text(page.render(views, Path(snakemake.input.template)), encoding="utf-8")
    terminal.say(f"More of the first rows: {file}\n")

# What the other rule files share: the validated settings as `flow`, and bounds for wildcards.

import os
import sys
from pathlib import Path

from deltatune.config import cross_task, datasets
from deltatune.config.problems import ConfigError
from deltatune.core.paths import RESULTS, ROOT
from deltatune.core.text import printable
from deltatune.forking import forked_jobs
from deltatune.workflow import missing, stale, upstream
from deltatune.workflow.flow import Flow
from deltatune.workflow.selection import NAME, SPLITS, SYSTEM
from deltatune.workflow.upstream import Refused

try:
    # A module may be given a prefix for all relative paths.
    flow = Flow(config, prefixed=workflow.modifier.modify_path(RESULTS) != RESULTS)
except ConfigError as error:
    raise Refused(error.message(config_lines, config_name)) from None

# Not in a workflow that imports this one: its own commands, which may be several in a line, would
# get the prefix too.
if Path(workflow.basedir).resolve() == ROOT:
    shell.prefix(forked_jobs.PREFIX)


onstart:
    for notice in (
        cross_task.notice(flow.settings),
        datasets.notice(flow.settings, flow.datasets),
    ):
        if notice:
            print(f"\ndeltatune: {printable(notice)}\n", file=sys.stderr)
    # Snakemake would stop with a traceback at the first result that it cannot replace.
    if os.path.isdir(RESULTS) and not os.access(RESULTS, os.W_OK):
        raise Refused(
            f"{RESULTS}/ can only be read. Make it writable and run again."
        )
    forked_jobs.start(workflow)


# Where nothing is to be done, nothing starts: so not in onstart. Nor in each job.
if workflow.is_main_process:
    notices = []
    if upstream.records_are_files(workflow):
        notices.append(stale.notice(flow.jobs, workflow.modifier.modify_path))
    if missing.is_report(sys.argv):
        pages = [f"{RESULTS}/report.html", *(one.page for one in flow.table_pages)]
        wanted = [*flow.paths.tables(), *pages, *flow.paths.figures()]
        notices.append(missing.notice(wanted, workflow.modifier.modify_path))
    for notice in filter(None, notices):
        print(f"\ndeltatune: {printable(notice)}\n", file=sys.stderr)


wildcard_constraints:
    dataset=NAME,
    task=NAME,
    model=NAME,
    experiment=NAME,
    system=SYSTEM,
    seed=r"\d+",
    split="|".join(SPLITS),
    table="comparison|cross_task",

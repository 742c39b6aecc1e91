"""What the rules ask: one object with a part for each question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deltatune.config.load import load_settings
from deltatune.workflow.code import Code
from deltatune.workflow.inputs import Inputs
from deltatune.workflow.jobs import Jobs
from deltatune.workflow.params import Params
from deltatune.workflow.paths import Paths
from deltatune.workflow.report_inputs import ReportInputs
from deltatune.workflow.resources import Resources
from deltatune.workflow.selection import Selection
from deltatune.workflow.table_pages import table_pages


class Flow(Selection):
    """What is run, and of it:

    paths: where it lies, by names. The others take the wildcards of a rule, so that a rule refers
    to them: inputs: what a job reads; params: the settings that it depends on; code: the digest of
    its code; resources: what it needs of a machine; report: what the report shows of the run.
    jobs: all that leave a manifest. table_pages: what `snakemake --report` shows of tables.
    """

    def __init__(self, config: Mapping[str, Any], prefixed: bool = False) -> None:
        """config: the mapping from config.yaml. prefixed: see `Paths`. Raises UserError for what is
        wrong with it."""
        super().__init__(load_settings(config))
        self.paths = Paths(self, prefixed)
        self.inputs = Inputs(self, self.paths)
        self.params = Params(self, self.paths)
        self.code = Code(self)
        self.resources = Resources(self)
        self.jobs = Jobs(self, self.params)
        self.report = ReportInputs(self, self.paths, self.params, self.jobs)
        self.table_pages = table_pages(self, self.paths)

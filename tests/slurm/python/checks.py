"""Snakemake's executor looks for finished jobs each second, and not ten seconds later each time
that it finds none."""

import sys

from loading import when_loaded


def _each_second(module):
    seconds = property(lambda executor: 1, lambda executor, value: None)
    module.RemoteExecutor.next_seconds_between_status_checks = seconds


if sys.orig_argv[1:3] == ["-m", "snakemake"]:
    when_loaded("snakemake_interface_executor_plugins.executors.remote", _each_second)

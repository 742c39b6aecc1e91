"""What makes a run again, and what of it the page cannot promise; limits that are read first."""

from __future__ import annotations

import pytest
from deltatune.report.data import Checkout, ReportData
from deltatune.report.sections import limits, repeat
from deltatune.report.words import limits as every_limit

FIRST, LAST = "1" * 40, "2" * 40


def view(*checkouts: Checkout) -> dict:
    return repeat.view(ReportData([], {}, checkouts=list(checkouts)))


def test_the_commit_of_the_jobs_is_checked_out():
    shown = view(Checkout(FIRST, modified=False))
    assert shown["commands"][0] == f"git checkout {FIRST}"
    assert shown["commands"][-1] == "snakemake --cores all"
    assert shown["remarks"] == []
    assert repeat.view(ReportData([], {})) is None


@pytest.mark.parametrize(
    ("checkouts", "remark", "command"),
    [
        ([Checkout(FIRST, False), Checkout(LAST, False)], "2 commits", f"git checkout {LAST}"),
        ([Checkout(FIRST, True)], "differed from its commit", f"git checkout {FIRST}"),
        ([Checkout(None, False)], "outside of a git checkout", repeat.SETUP[0]),
    ],
)
def test_what_the_commands_do_not_make_again_is_said(checkouts, remark, command):
    shown = view(*checkouts)
    assert shown["commands"][0] == command
    assert len(shown["remarks"]) == 1 and remark in shown["remarks"][0]


@pytest.mark.parametrize(("count", "read"), [(0, 0), (9, 9), (10, 6), (30, 6)])
def test_the_strongest_limits_are_read_and_many_others_are_folded(monkeypatch, count, read):
    monkeypatch.setattr(every_limit, "shown", lambda _: range(count))
    shown = limits.view(ReportData([], {}))
    assert len(shown["strongest"]) == read
    assert [*shown["strongest"], *shown["others"]] == [str(one) for one in range(count)]

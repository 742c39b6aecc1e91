"""Every common architecture is right the whole way, or refused before anything is trained."""

from __future__ import annotations

import architectures_table as table
import pytest
from architectures_table import STEPS

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, dict[str, str]]:
    return table.examine_all(tmp_path_factory.mktemp("architectures"))


def test_each_is_right_or_refused(outcomes):
    for name, cells in outcomes.items():
        refused = cells["load"].startswith("refused: ")
        assert refused or all(cells[step] for step in STEPS), (name, cells)
        assert not refused or not any(cells[step] for step in STEPS[1:]), (name, cells)


def test_the_page_says_what_was_found(outcomes):
    assert table.documented() == table.table(outcomes), (
        "run: python tests/unit/architectures_table.py"
    )

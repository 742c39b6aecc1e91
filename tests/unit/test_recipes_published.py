"""docs/recipes.md: every hyper-parameter of the published recipes, and each difference told."""

from __future__ import annotations

import pytest
from conftest import ROOT
from deltatune.recipes import here, published_docs
from deltatune.recipes.published import RECIPES


def test_the_page_is_up_to_date():
    assert published_docs.PAGE.read_text(encoding="utf-8") == published_docs.page(), (
        "run: cd scripts && python -m deltatune.recipes.published_docs"
    )


def test_each_preset_of_a_published_recipe_is_on_it():
    with_figures = {
        path.stem
        for path in (ROOT / "presets").glob("*.yaml")
        if "published:" in path.read_text(encoding="utf-8")
    }
    assert with_figures == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_not_the_recipe_s_is_told(name):
    ours, published = published_docs.ours(name)
    sentences = " ".join(published.differs)
    assert set(RECIPES[name].values) <= set(here.PARAMETERS) == set(ours)
    for key, title in here.PARAMETERS.items():
        theirs = RECIPES[name].values.get(key)
        if theirs is None:
            assert title in sentences, f"{title} is not stated, and {ours[key]} here"
        elif theirs.differs:
            assert theirs.differs in sentences, f"{title}: {theirs.value}, here {ours[key]}"
            assert theirs.value != ours[key]
        else:
            assert theirs.value == ours[key], title

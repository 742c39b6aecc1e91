import dataclasses

import pytest
from deltatune.compare import fact


def a_fact(**changes) -> fact.Fact:
    values = {
        "experiment": "x",
        "task": "t",
        "model": "m",
        "metric": "accuracy",
        "main": True,
        "higher_is_better": True,
        "against": "base",
        "n": 200,
        "unit": "examples",
        "clusters": 200,
        "cluster_unit": "examples",
        "differing": 90,
        "seeds": 3,
        "base": 0.25,
        "tuned": 0.85,
        "delta": 0.6,
        "seed_sd": 0.01,
        "estimand": "recipe",
        "ci_low": 0.5,
        "ci_high": 0.7,
        "p_value": 0.001,
        "p_is_floor": False,
        "p_holm": 0.002,
        "family": 2,
        "alpha": 0.025,
        "detectable": 0.1,
        "adapters_low": 0.55,
        "adapters_high": 0.65,
        "adapters_p": 0.0001,
        "adapters_p_is_floor": True,
        "adapters_p_holm": 0.0002,
        "item_se": 0.02,
        "item_df": 199.0,
        "no_interval": "",
        "no_p": "",
        "method": "in words",
    }
    return fact.Fact(**values | changes)


@pytest.mark.parametrize(("seeds", "decides"), [(1, "adapters"), (2, "adapters"), (3, "recipe")])
def test_from_three_seeds_on_the_recipe_decides(seeds, decides):
    one = a_fact(seeds=seeds)
    assert one.decided_by == decides
    column = {"recipe": "p_value", "adapters": "adapters_p"}[decides]
    assert one.p == getattr(one, column)


def test_a_gain_is_in_the_good_direction():
    assert a_fact(delta=-2.0, higher_is_better=False).gain == 2.0
    assert a_fact(delta=None).gain is None
    assert dataclasses.replace(a_fact(), delta=-0.1).gain == -0.1

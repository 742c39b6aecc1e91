"""What rules read: a target may have any name, and one that config.yaml lacks is told as that."""

import inspect

from deltatune.workflow.inputs import Inputs

#: Its wildcard is one of two words, see rules/common.smk.
CONSTRAINED = {"join_comparisons"}


def test_every_input_function_that_looks_at_names_refuses_unknown_ones():
    functions = {name: f for name, f in vars(Inputs).items() if name[0] != "_" and callable(f)}
    unguarded = {
        name
        for name, function in functions.items()
        if not hasattr(function, "__wrapped__")
        and inspect.getsource(function).count("wildcards") > 1
    }
    assert len(functions) > 10 and unguarded == CONSTRAINED

"""What training depends on, from the rule's params to the library, and names of optimizers."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT
from deltatune.core.errors import UserError
from deltatune.train import optimizers
from deltatune.train.settings import Training, TrainSettings
from pydantic import ValidationError
from test_train_train import settings

CHANGED = {"activation_checkpointing": True, "gpus": 2, "batch_size": 6, "precision": "fp16"}


def test_params_give_the_settings_that_they_were_made_of():
    whole = settings(CHANGED, lora={"targets": ["k_proj"], "rank_pattern": {"k_proj": 2}}, seed=7)
    assert TrainSettings.from_params(whole.model_dump(mode="json")) == whole


def test_a_param_that_no_field_has_is_refused():
    with pytest.raises(UserError, match=r"^training\.sharde: "):
        params = settings({}).model_dump(mode="json")
        params["training"]["sharde"] = True
        TrainSettings.from_params(params)


def test_a_script_refuses_an_optimizer_that_config_could_not_know():
    """Where snakemake's environment has no transformers."""
    params = settings({}).model_dump(mode="json")
    params["training"]["optimizer"] = "adamw_torhc"
    with pytest.raises(
        UserError,
        match=r"training\.optimizer: 'adamw_torhc' is not .*did you mean 'adamw_torch'.*adafactor",
    ):
        TrainSettings.from_params(params)


# ---------------------------------------------------------------- the length of a training


def test_steps_replace_the_default_epochs():
    asked = Training(max_steps=5)
    assert (asked.epochs, asked.max_steps) == (None, 5)
    assert Training(**asked.model_dump()) == asked == Training(max_steps=5, epochs=None)
    assert (Training().epochs, Training(max_steps=None, epochs=2).epochs) == (3, 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 3, "max_steps": 5}, "max_steps: 5 steps and 3 epochs are two lengths"),
        ({"epochs": None}, "epochs: null is for a training with max_steps"),
    ],
)
def test_two_lengths_or_none_are_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        Training(**given)


# ---------------------------------------------------------------- names of optimizers


@pytest.fixture
def fresh():
    """The names are read anew, before and after."""
    optimizers.optimizer_names.cache_clear()
    yield
    optimizers.optimizer_names.cache_clear()


def test_the_optimizers_are_those_of_transformers():
    from transformers.training_args import OptimizerNames

    assert optimizers.optimizer_names() == tuple(sorted(name.value for name in OptimizerNames))


def test_reading_them_imports_no_library():
    program = (
        "import sys; from deltatune.train import optimizers; assert optimizers.optimizer_names(); "
        "assert not {'transformers', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT / "scripts", check=True)


def test_an_unknown_optimizer_is_refused_with_a_near_match():
    with pytest.raises(
        ValidationError,
        match=r"'adamw_torhc' is not an optimizer of .*did you mean 'adamw_torch'.* are adafactor",
    ):
        Training(optimizer="adamw_torhc")


@pytest.mark.parametrize("missing", ["package", "module"])
def test_without_transformers_the_setting_waits_for_training(monkeypatch, fresh, tmp_path, missing):
    class Package:
        submodule_search_locations = (str(tmp_path),)

    spec = {"package": None, "module": Package()}[missing]
    monkeypatch.setattr(optimizers, "find_spec", lambda name: spec)
    assert optimizers.optimizer_names() == ()
    assert Training(optimizer="adamw_torhc").optimizer == "adamw_torhc"

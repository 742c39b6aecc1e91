"""Answers by vLLM, against a stand-in of its documented interface: vLLM itself is not installed
where the tests run."""

import copy
import json
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest
import tiny
import torch
from conftest import ROOT
from deltatune.compare import weights
from deltatune.config.load import load_settings
from deltatune.core import evaluated_with
from deltatune.core.errors import UserError
from deltatune.evaluate import generate, vllm_engine
from deltatune.models.device import Compute

PROMPTS = ["She wrote three letters", "Prices", "The old bridge was closed because", "A lantern"]
BF16 = Compute("cuda:0", torch.bfloat16, "a test")


@pytest.fixture
def calls(monkeypatch):
    """What vLLM is called with. It answers as the tiny model does."""
    seen = {}

    class LLM:
        def __init__(self, **arguments):
            seen["engine"] = arguments

        def generate(self, prompts, parameters, **named):
            seen.update(prompts=prompts, parameters=parameters, **named)
            return [SimpleNamespace(outputs=[self.complete(one)]) for one in prompts]

        def complete(self, prompt):
            ids, limits = prompt["prompt_token_ids"], seen["parameters"]
            made = (
                tiny.model()
                .generate(
                    input_ids=torch.tensor([ids]),
                    max_new_tokens=limits["max_tokens"],
                    do_sample=False,
                    eos_token_id=limits["stop_token_ids"],
                    pad_token_id=0,
                )[0, len(ids) :]
                .tolist()
            )
            stopped = made[-1] in limits["stop_token_ids"]
            # As of a special token, which is not among the tokens.
            return SimpleNamespace(
                token_ids=tuple(made[:-1] if stopped else made),
                finish_reason="stop" if stopped else "length",
                stop_reason=made[-1] if stopped else None,
            )

    module, lora = ModuleType("vllm"), ModuleType("vllm.lora")
    request = ModuleType("vllm.lora.request")
    module.__spec__ = ModuleSpec("vllm", None)
    module.LLM, module.SamplingParams = LLM, dict
    request.LoRARequest = lambda *arguments: arguments
    for one in (module, lora, request):
        monkeypatch.setitem(sys.modules, one.__name__, one)
    return seen


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.saved(tmp_path_factory.mktemp("vllm") / "model")


def evaluate(model):
    questions = pd.DataFrame({"id": range(len(PROMPTS)), "prompt": PROMPTS})
    task = SimpleNamespace(
        **{"task": "t", "batch_size": 2, "max_new_tokens": 12},
        **{"refuses_long_prompts": False, "sampling": None},
    )
    terminal = SimpleNamespace(say=print, progress=lambda text: None)
    return generate.evaluate(model, tiny.tokenizer(), questions, task, terminal)


def test_answers_are_those_of_transformers(folder, calls):
    engine = vllm_engine.Engine(folder, "nf4", BF16)
    outputs = evaluate(engine)
    pd.testing.assert_frame_equal(outputs.table, evaluate(tiny.model()).table)
    assert outputs.figures["batch_size_from"] == "vllm"
    arguments = calls["engine"]
    assert arguments.pop("max_model_len") == 12 + max(
        len(one["prompt_token_ids"]) for one in calls["prompts"]
    )
    assert arguments == {
        **{"model": str(folder), "quantization": "bitsandbytes", "dtype": "bfloat16", "seed": 0},
        **{"trust_remote_code": False, "skip_tokenizer_init": True, "generation_config": "vllm"},
    }
    assert calls["parameters"] == {
        **{"temperature": 0.0, "max_tokens": 12, "ignore_eos": True, "detokenize": False},
        "stop_token_ids": [tiny.tokenizer().eos_token_id],
    }
    assert "lora_request" not in calls


def test_an_adapter_is_applied_beside_the_base(folder, calls, tmp_path):
    settings = {"r": 9, "rank_pattern": {"q_proj": 24}}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    evaluate(vllm_engine.Engine(folder, "none", BF16, tmp_path))
    assert calls["lora_request"] == ("adapter", 1, str(tmp_path))
    arguments = calls["engine"]
    assert (arguments["enable_lora"], arguments["max_lora_rank"]) == (True, 32)
    assert arguments["quantization"] is None


def test_without_vllm_nothing_runs(folder):
    with pytest.raises(UserError, match=r"evaluation\.backend: vllm is not installed.*pip install"):
        vllm_engine.load(SimpleNamespace(model=folder), SimpleNamespace(quantization="none"))


def test_what_it_cannot_do_is_refused_before_anything_runs(default_config):
    config = copy.deepcopy(default_config)
    config["evaluation"] = {"backend": "vllm", "weights": "dequantized"}
    config["tasks"]["instructions"]["evaluation"] = {"sampling": {"seed": 1}}
    name, other, *_ = config["experiments"]
    config["experiments"][name]["quantization"] = "int8"
    config["experiments"][other]["lora"] = {"use_dora": True}
    with pytest.raises(UserError) as caught:
        load_settings(config, ROOT)
    message = str(caught.value)
    for part in (
        "evaluation.backend: vllm takes the weights as trained",
        "tasks.instructions.evaluation.sampling: with evaluation.backend: vllm answers are greedy",
        f"experiments.{name}: vllm does not quantize to int8",
        f"experiments.{other}: vllm has no DoRA",
    ):
        assert part in message


def test_answers_of_both_backends_are_not_compared():
    base, tuned = pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})
    evaluated_with.write(tuned, "quantized", "vllm")
    with pytest.raises(UserError, match=r"base\.parquet by transformers, tuned\.parquet by vllm"):
        weights.require_same({"base.parquet": base, "tuned.parquet": tuned}, "answers")
    evaluated_with.write(base, "quantized", "vllm")
    weights.require_same({"base.parquet": base, "tuned.parquet": tuned}, "answers")

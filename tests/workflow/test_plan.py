"""`snakemake plan`: printed in the terminal, with no network, no GPU, and nothing made."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest
from conftest import ROOT, run_snakemake, small, write_config

REVISION = "0" * 40


@pytest.fixture
def planned(project):
    """A project folder with the configs of public models."""
    shutil.copytree(ROOT / "presets", project / "presets", dirs_exist_ok=True)
    return project


def plan(project, *arguments: str) -> tuple[str, pd.DataFrame]:
    done = run_snakemake(
        project, "plan", "--cores", "1", *arguments, warm=True, CUDA_VISIBLE_DEVICES=""
    )
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    left = {path.name for path in (project / "results").iterdir()} - {"README.md"}
    assert left == {"logs", "plan.csv"}, "a plan makes nothing else"
    return done.stdout, pd.read_csv(project / "results/plan.csv").set_index("experiment")


def test_the_default(planned, default_config):
    write_config(planned, small(default_config))
    output, table = plan(planned)
    for text in ("parameters", "trainable", "activations", "logits and loss", "on the CPU"):
        assert text in output, output
    assert "tokens are estimated, from data/sample/news.csv" in output
    assert list(table.index) == ["instructions-qlora", "prose-qlora", "news-qlora"]
    # Each of 42 news (60 less a tenth and a fifth) is a text of some 50 words.
    assert 1_000 < table.tokens["news-qlora"] < 42 * 256
    assert (table.trainable == 2 * 2 * (48 + 48)).all()
    # It is printed again each time that it is asked for.
    assert "parameters" in plan(planned)[0]


def test_a_preset_of_seven_billion(planned, edit_config):
    def change(config):
        config["hardware"] = {"gpu": "T4"}
        config["datasets"]["alpaca"] = {
            "source": "hub",
            "id": "tatsu-lab/alpaca",
            "revision": REVISION,
        }
        config["models"]["mistral"] = {
            "source": "hub",
            "id": "mistralai/Mistral-7B-v0.1",
            "revision": REVISION,
        }
        config["tasks"]["alpaca"] = {"kind": "instruct", "dataset": "alpaca", "max_length": 512}
        config["experiments"] = {
            "alpaca": {
                "model": "mistral",
                "task": "alpaca",
                "lora": {"rank": 8, "targets": ["q_proj", "v_proj"]},
                "training": {"batch_size": 64, "gradient_accumulation": 1, "epochs": 1},
            }
        }

    edit_config(change)
    output, table = plan(planned)
    row = table.loc["alpaca"]
    assert row.config_from == "presets/configs"
    assert (row.parameters, row.trainable) == (7_241_732_096, 3_407_872)
    assert row.download_bytes == 14_483_464_192
    assert row.verdict == "fits" and pd.isna(row.advice)
    assert 0 < row.batch_size <= row.largest_batch < 64
    assert row.batch_size * row.gradient_accumulation == 64
    assert f"alpaca: micro-batch: {row.batch_size_reason}" in output and " of 15.6 GB" in output
    assert "GPU: T4, 15.6 GB, fp16" in output
    assert "tokens are estimated, from what is known of tatsu-lab/alpaca" in output


def test_compiled_blocks_save_less_also_where_the_plan_has_no_gpu(planned, edit_config):
    """The job asks torch's compiler for it, which other jobs switch off."""

    def change(config):
        config["hardware"] = {"gpu": "H100"}
        config["models"]["smollm2"] = {
            "source": "hub",
            "id": "HuggingFaceTB/SmolLM2-135M-Instruct",
            "revision": REVISION,
        }
        asked = {"model": "smollm2", "task": "prose"}
        training = {"max_steps": 20_000, "batch_size": 8, "activation_checkpointing": False}
        config["experiments"] = {
            name: asked | {"training": training | {"determinism": name}}
            for name in ("auto", "strict")
        }

    edit_config(change)
    # Not by the warm server, in whose jobs the compiler is off from the start.
    done = run_snakemake(planned, "plan", "--cores", "1", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stdout
    table = pd.read_csv(planned / "results/plan.csv").set_index("experiment")
    assert list(table.kernels) == ["compiled", "eager"], done.stdout
    assert table.activations["auto"] < 0.9 * table.activations["strict"]


def test_an_unknown_gpu(planned, edit_config):
    edit_config(lambda config: config.update(hardware={"gpu": "T5"}))
    done = run_snakemake(planned, "plan", "--cores", "1")
    assert done.returncode == 1
    assert "hardware: gpu: unknown GPU 'T5'" in done.stdout and "Traceback" not in done.stdout

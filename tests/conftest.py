"""What tests share: a copy of the project to run in, and snakemake started as a user starts it."""

from __future__ import annotations

import copy
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import distribution
import pytest
import warm_python
import yaml
from fetch_process import CANARY
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
# Many containers forbid byte code. Each process of a run would then compile the library anew, and
# in an environment of --use-conda torch and transformers as well: ten seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Threads that spin while they wait take the cores from the other workers: `pretrain_model` takes
# ten times as long beside them. What is computed stays the same.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Under nohup, or in the background of a shell, tests and all that they start would ignore these.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        handler = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, handler)
PARTS = ["Snakefile", "config.yaml", "rules", "scripts", "envs", "profiles", "report", "data"]


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Which tests run in one process, under `--dist loadfile`."""
    from xdist.scheduler import LoadFileScheduling

    class Groups(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return distribution.group(nodeid)

    return Groups(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: distribution.rank(item.nodeid))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real extracts; tests that need it are skipped where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip("there is no folder shared/data beside the project")
    return SHARED_DATA


def copy_project(folder: Path) -> Path:
    """A fresh copy of what the pipeline is made of, with no results."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / part, ignore=ignored)
        else:
            shutil.copy2(source, folder / part)
    return folder


def run_snakemake(
    folder: Path,
    *arguments: str,
    timeout: float = 1800,
    python: str = sys.executable,
    warm: bool = False,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """snakemake in a folder, without a network; output and errors together in stdout.

    warm: forked from a process that has loaded the packages, and so is each script: a second for
    each job in place of five. For a test whose point is not how processes start and end.
    What is set for the hub, by a person or by a package that a test has imported (tokenicer, below
    gptqmodel, names a cache for all), is left out: two stand-in hubs would share their files.
    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE_"))}
    if warm:
        environment |= warm_python.variables(inherited | environment)
    return subprocess.run(
        [python, "-m", "snakemake", *arguments],
        cwd=folder,
        env={**inherited, "HF_HUB_OFFLINE": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "project")


@pytest.fixture(scope="session")
def default_config() -> dict:
    return yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture
def edit_config(project: Path) -> Callable[[Callable[[dict], None]], None]:
    """Change config.yaml of the project by a function of the parsed mapping."""

    def edit(change: Callable[[dict], None]) -> None:
        path = project / "config.yaml"
        config = yaml.safe_load(path.read_text())
        change(config)
        path.write_text(yaml.safe_dump(config, sort_keys=False))

    return edit


def small(config: dict) -> dict:
    """A copy of the default so small that all of it runs in a minute; how well is not the point."""
    config = copy.deepcopy(config)
    config["seeds"] = [1]
    model = config["models"]["tiny-mistral"]
    model["architecture"] = {
        "vocab_size": 600,
        "hidden_size": 48,
        "intermediate_size": 96,
        "layers": 2,
        "heads": 4,
        "kv_heads": 2,
    }
    model |= {"steps": 10, "batch_tokens": 512, "sequence_length": 64, "threads": 1}
    for task in config["tasks"].values():
        task["split"] = {**task.get("split", {}), "max_records": 60}
        if task["kind"] == "instruct":
            task["evaluation"] = {"max_new_tokens": 8, "max_examples": 8}
            task["metrics"] = ["rouge_l", "exact_match"]
        if task["kind"] == "prose":
            task["evaluation"] = {"max_new_tokens": 4, "context": 64}
        if task["kind"] == "classify":
            task["evaluation"] = {"max_examples": 12}
    # Two of the six pairs.
    config["cross_task"] = "none"
    for name in ("instructions-qlora", "news-qlora"):
        config["experiments"][name]["cross_task"] = ["prose"]
    for experiment in config["experiments"].values():
        experiment["lora"] = {"rank": 2, "targets": ["q_proj"]}
        experiment["training"] = {"epochs": 1, "evaluations": 1, "batch_size": 4}
    config["statistics"] = {"resamples": 999}
    return config


def write_config(project: Path, config: dict) -> None:
    (project / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory) -> Path:
    """A folder that all processes of this test run see."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


def make_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """A folder that the first process that needs it makes, while the others wait for it."""
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            try:
                make(folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    return folder


@pytest.fixture(scope="session")
def small_run(shared_folder: Path, default_config: dict) -> Path:
    """A project folder in which the default made small has run to its end; only to be read.

    It had a token for the hub in its environment, which test_secrets.py looks for. What was printed
    stands in `terminal.txt` beside it.
    """

    def run(folder: Path) -> None:
        project = copy_project(folder / "project")
        write_config(project, small(default_config))
        shown = ("--logger", "stages", "--cores", "2")
        path = str(project / "scripts")
        done = run_snakemake(project, *shown, HF_TOKEN=CANARY, PYTHONPATH=path)
        assert done.returncode == 0 and CANARY not in done.stdout, done.stdout[-5000:]
        (folder / "terminal.txt").write_text(done.stdout, encoding="utf-8")

    return make_once(shared_folder / "small", run) / "project"


@pytest.fixture(scope="session")
def gptq_packages() -> dict[str, str]:
    """Environment variables for a snakemake that finds the packages of requirements-gptq.txt.

    `make test` puts them beside the others, where only what needs them looks.
    """
    folder = Path(sys.prefix) / "gptq"
    if (folder / "gptqmodel").is_dir():
        return {"PYTHONPATH": str(folder)}
    if importlib.util.find_spec("gptqmodel") is None:
        pytest.skip("needs pip install --no-deps -r requirements-gptq.txt -c constraints.txt")
    return {}


@pytest.fixture
def hub():
    """A hub on loopback, see standin_hub."""
    from standin_hub import Hub

    with Hub() as hub:
        yield hub


@pytest.fixture
def fetch(tmp_path: Path, hub):
    """A project folder with a cache of its own, into which the hub's things are fetched."""
    from fetch_process import Fetch

    folder = tmp_path / "fetched"
    folder.mkdir()
    return Fetch(folder, hub)


@pytest.fixture
def closed() -> str:
    """An address on loopback where nothing answers."""
    from standin_hub import Hub

    with Hub() as hub:
        return hub.url

"""What a script can import that runs in another environment than snakemake."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from deltatune.core import upstream

SCRIPT = f"""
import sys
sys.path += [sys.argv[1], sys.argv[1] + "/more/site-packages", {str(ROOT / "scripts")!r}]
import snakemake
from deltatune.core import upstream
upstream.leave_snakemakes_environment()
import snakemake.logging
import importlib.util
print([name for name in ("beside", "further") if importlib.util.find_spec(name)])
"""


@pytest.fixture
def other_environment(tmp_path: Path) -> Path:
    """A folder with a package called snakemake and another one, and a further folder."""
    (tmp_path / "snakemake").mkdir()
    (tmp_path / "more/site-packages").mkdir(parents=True)
    further = "more/site-packages/further.py"
    for name in ("snakemake/__init__.py", "snakemake/logging.py", "beside.py", further):
        (tmp_path / name).touch()
    return tmp_path


def packages_seen(other_environment: Path, **environment: str) -> str:
    # -S leaves out this environment's packages, snakemake among them, as in one of conda's.
    done = subprocess.run(
        [sys.executable, "-S", "-c", SCRIPT, other_environment],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return done.stdout.strip()


def test_a_package_beside_snakemake_is_not_found(other_environment):
    assert packages_seen(other_environment) == "[]"


def test_what_the_user_put_on_the_path_is(other_environment):
    assert packages_seen(other_environment, PYTHONPATH=str(other_environment)) == "['beside']"


def test_without_an_environment_of_its_own_nothing_changes():
    """Here snakemake lies where all the others do."""
    code = (
        "import sys, snakemake; from deltatune.core import upstream; before = list(sys.path);"
        "upstream.leave_snakemakes_environment(); print(sys.path == before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "scripts",
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == "True"


def test_snakemake_puts_its_own_packages_on_the_path_of_a_script():
    """https://github.com/snakemake/snakemake/issues/840, seen in 9.27: when this fails, the
    workaround can go."""
    from snakemake import script

    assert "sys.path.extend({repr(searchpaths)})" in Path(script.__file__).read_text()


def test_multiprocessing_still_runs_the_main_script_again(monkeypatch):
    from multiprocessing import spawn

    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None)
    monkeypatch.setattr(main, "__file__", "script.py", raising=False)
    assert spawn.get_preparation_data("")["init_main_from_path"].endswith("script.py")
    with upstream.without_main_script():
        assert "init_main_from_path" not in spawn.get_preparation_data("")
    assert main.__file__ == "script.py"


THREADS = f"""
import sys
sys.path.insert(0, {str(ROOT / "scripts")!r})
from deltatune.core import upstream
if sys.argv[1] == "without":
    upstream.keep_threads_from_spinning()
import ctypes, glob, importlib.util
root = importlib.util.find_spec("torch").submodule_search_locations[0]
ctypes.CDLL(glob.glob(root + "/lib/libgomp*")[0])
"""


def test_the_openmp_of_torch_still_lets_threads_spin_and_in_no_job():
    unset = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {k: v for k, v in os.environ.items() if k not in unset}
    for how in ("with", "without"):
        done = subprocess.run(
            [sys.executable, "-c", THREADS, how],
            env=environment | {"OMP_DISPLAY_ENV": "verbose"},
            stderr=subprocess.PIPE,
            check=True,
            text=True,
        )
        (count,) = re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)
        assert (int(count) > 0) == (how == "with")


def test_what_is_hidden_looks_as_if_it_were_not_installed_and_comes_back():
    assert "wave" not in sys.modules
    with upstream.hidden("wave", "os"):
        assert importlib.util.find_spec("wave") is None
        with pytest.raises(ImportError), upstream.hidden("wave"):
            import wave
        import os.path
    import wave  # noqa: F401

    assert os.path is not None


COMPILER = f"""
import sys
sys.path.insert(0, {str(ROOT / "scripts")!r})
from deltatune.core import upstream
if sys.argv[1] == "without":
    upstream.leave_out_torch_compiler()
import bitsandbytes
print("torch._inductor.compile_fx" in sys.modules)
"""


def test_bitsandbytes_still_loads_the_compiler_of_torch_and_no_job_does():
    environment = {k: v for k, v in os.environ.items() if k != "TORCHDYNAMO_DISABLE"}
    asked = [
        subprocess.Popen(
            [sys.executable, "-c", COMPILER, how],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for how in ("with", "without")
    ]
    assert [process.communicate()[0].strip() for process in asked] == ["True", "False"]

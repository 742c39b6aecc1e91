"""A forked job is what a job started by itself would be, and the server leaves nothing behind.

That results are the same, to the last byte, is seen where those of `small_run` are compared with
those of jobs that load their packages themselves (end_to_end/test_archive_run.py, slurm/).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import warm_python
from conftest import ROOT, run_snakemake
from deltatune.forking import forked_jobs
from deltatune.forking.forked_jobs import PREFIX, Forks, Job

SURROUNDINGS = """
import os, resource, signal, sys, tempfile
print(os.getcwd(), sys.argv, sys.path[0], __name__, __file__, os.environ["TMPDIR"])
print([signal.getsignal(n) for n in (2, 15, 1)], os.umask(0o22), os.nice(0), tempfile.gettempdir())
print(resource.getrlimit(resource.RLIMIT_NOFILE), sys.stdin.read(), sys.stdout.encoding)
print("err", file=sys.stderr)
"""
THREADS = """
import json, os, numpy, scipy.linalg, sklearn.linear_model, threadpoolctl, torch
pools = [[pool["user_api"], pool["num_threads"]] for pool in threadpoolctl.threadpool_info()]
about = torch.__config__.parallel_info().partition("Environment")[0]
print(json.dumps([sorted(pools), torch.get_num_threads(), about]))
"""
RANDOM = """
import random, numpy, torch
print(random.random(), numpy.random.rand(), float(torch.rand(1)))
"""
WAIT = """
import os, time
print(os.getpid(), flush=True)
time.sleep(600)
"""


def until(is_so: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_there(pid: int) -> bool:
    """Whether a process runs still; one that has ended may wait for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """That of a run."""
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return offline | warm_python.variables(offline)


@pytest.fixture(scope="module")
def forks(environment) -> Iterator[Forks]:
    with started_forks(environment) as forks:
        yield forks


@contextmanager
def started_forks(environment: dict[str, str]) -> Iterator[Forks]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", environment)
        forks = Forks()
    try:
        until(forks.is_ready)
        yield forks
    finally:
        forks.close()


class Ended:
    """What a script has printed, and how it ended."""

    def __init__(self, tmp_path: Path, environment: dict[str, str]) -> None:
        self.environment = environment
        self.script = tmp_path / "tmp.rule.py"
        self.out = tmp_path / "out"
        self.command = f"{PREFIX} {sys.executable} {self.script}"

    def started(self, forks: Forks, code: str, **variables: str) -> Job:
        self.script.write_text(code)
        with self.out.open("w") as out:
            job = forks.start(self.command, out, self.environment | variables)
        assert job is not None
        return job

    def forked(self, forks: Forks, code: str, **variables: str) -> tuple[str, int]:
        status = self.started(forks, code, **variables).wait()
        return self.out.read_text(), status

    def alone(self, code: str, **variables: str) -> tuple[str, int]:
        self.script.write_text(code)
        done = subprocess.run(
            ["bash", "-c", self.command],
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout, done.returncode


@pytest.fixture
def ended(tmp_path, environment) -> Ended:
    return Ended(tmp_path, environment)


def test_it_has_the_surroundings_of_one_started_by_itself(forks, ended, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t").mkdir()
    own = {"TMPDIR": str(tmp_path / "t")}
    assert ended.forked(forks, SURROUNDINGS, **own) == ended.alone(SURROUNDINGS, **own)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_libraries_have_the_threads_of_one_started_by_itself(forks, ended, threads):
    names = {name: threads for name in forked_jobs._OF_A_JOB if name.endswith("_THREADS")}
    forked, alone = ended.forked(forks, THREADS, **names), ended.alone(THREADS, **names)
    assert (forked[1], alone[1]) == (0, 0)
    (pools, *forked), (own, *alone) = json.loads(forked[0]), json.loads(alone[0])
    assert forked == alone
    # Of libraries that this script does not load, too.
    assert {tuple(pool) for pool in pools} == {tuple(pool) for pool in own}


def test_random_numbers_differ_from_job_to_job(forks, ended):
    one, other = (ended.forked(forks, RANDOM)[0].split() for _ in range(2))
    assert len(one) == 3 and not set(one) & set(other)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit('a message')", 1),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL),
        ("import os; os.kill(os.getpid(), 15)", -signal.SIGTERM),
        ("import os; os.kill(os.getpid(), 2)", -signal.SIGINT),
        ("import atexit; atexit.register(print, 'end'); 1 / 0", 1),
        ("import threading as t; t.Timer(0.2, print, 'x').start()", 0),
        ("import ctypes; ctypes.CDLL(None).puts(b'of C')", 0),
    ],
)
def test_it_ends_as_that_does(forks, ended, code, status):
    forked = ended.forked(forks, code)
    assert forked == ended.alone(code)
    assert forked[1] == status


def test_signals_reach_it_and_ps_shows_it(forks, ended):
    for send, number in ((Job.terminate, signal.SIGTERM), (Job.kill, signal.SIGKILL)):
        job = ended.started(forks, WAIT)
        until(ended.out.read_text)
        assert int(ended.out.read_text()) == job.pid
        command = Path(f"/proc/{job.pid}/cmdline").read_text().strip("\0").split("\0")
        assert command == [sys.executable, str(ended.script)]
        send(job)
        assert job.wait() == -number


def test_what_is_no_job_of_this_interpreter_starts_as_usual(forks, ended, environment):
    ended.script.write_text("")
    for command in (
        f"{PREFIX} {sys.executable} {ended.script} ; true",
        f"{PREFIX} python {ended.script}",
        f"source activate it; {ended.command}",
        f"{PREFIX} {sys.executable} -V",
    ):
        assert forks.start(command, None, environment) is None
    # Read when packages were loaded, and so another for this job.
    other = environment | {"HF_HOME": "elsewhere"}
    assert forks.start(ended.command, None, other) is None


def test_a_server_that_has_ended_is_no_harm(ended, environment):
    with started_forks(environment) as forks:
        job = ended.started(forks, "import os; print(os.getppid(), flush=True)" + WAIT)
        until(lambda: len(ended.out.read_text().split()) == 2)
        server = int(ended.out.read_text().split()[0])
        os.kill(server, signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL
        assert not is_there(job.pid)
        assert forks.start(ended.command, None, environment) is None


def test_nothing_waits_for_a_server_that_is_not_ready(ended):
    forks = Forks()
    try:
        assert forks.start(ended.command, None, dict(os.environ)) is None
    finally:
        started = time.monotonic()
        forks.close()
    assert time.monotonic() - started < 2
    assert not is_there(forks._process.pid)


# ------------------------------------------------------------ when it is used


def test_only_where_jobs_are_processes_of_this_machine_and_interpreter(monkeypatch):
    started = []
    monkeypatch.setattr(forked_jobs, "Forks", lambda: SimpleNamespace(start=started.append))
    monkeypatch.setattr(forked_jobs.upstream, "start_jobs_by", started.append)
    monkeypatch.setattr(forked_jobs.gpu_devices, "find", lambda: ("", []))
    usual = {
        "is_main_process": True,
        "local_exec": True,
        "dryrun": False,
        "touch": False,
        "deployment_settings": SimpleNamespace(deployment_method=set()),
        "dag": range(100),
    }
    forked_jobs.start(SimpleNamespace(**usual))
    assert len(started) == 1
    others = {
        "is_main_process": False,
        "local_exec": False,
        "dryrun": True,
        "touch": True,
        "deployment_settings": SimpleNamespace(deployment_method={"conda"}),
        "dag": range(3),
    }
    for name, other in others.items():
        forked_jobs.start(SimpleNamespace(**usual | {name: other}))
    monkeypatch.setattr(forked_jobs.gpu_devices, "find", lambda: ("", ["a GPU"]))
    forked_jobs.start(SimpleNamespace(**usual))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert len(started) == 1


# ------------------------------------------------------------ whole runs

SNAKEFILE = f"""
import sys, time
sys.path.insert(0, {str(ROOT / "scripts")!r})
from deltatune.forking import forked_jobs

shell.prefix(forked_jobs.PREFIX)

onstart:
    forks = forked_jobs.start(workflow)
    while forks and not forks.is_ready():
        time.sleep(0.02)

rule all:
    input: [f"{{n}}.txt" for n in range(5)]

rule one:
    output: "{{n}}.txt"
    benchmark: "{{n}}.tsv"
    script: "one.py"
"""
SCRIPT = """
import os, sys, time
from pathlib import Path
n = snakemake.wildcards.n
Path(f"new-{n}").write_text(f"{os.getpid()} {os.getppid()} {'torch' in sys.modules}")
Path(f"new-{n}").rename(f"started-{n}")
while Path("wait").exists():
    time.sleep(0.02)
time.sleep(1)
Path(snakemake.output[0]).touch()
"""


@pytest.fixture
def runs(tmp_path) -> Path:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "one.py").write_text(SCRIPT)
    return tmp_path


def started(folder: Path) -> list[tuple[int, int, bool]]:
    """(process, its parent, whether it was forked) of each job."""
    texts = [path.read_text().split() for path in sorted(folder.glob("started-*"))]
    return [(int(pid), int(parent), loaded == "True") for pid, parent, loaded in texts]


def test_a_run_is_measured_and_leaves_nothing(runs):
    done = run_snakemake(runs, "--cores", "2", warm=True)
    assert done.returncode == 0, done.stdout
    jobs = started(runs)
    assert [forked for *_, forked in jobs] == [True] * 5
    (server,) = {parent for _, parent, _ in jobs}
    assert not is_there(server)
    header, values = (runs / "0.tsv").read_text().split("\n")[:2]
    measured = dict(zip(header.split("\t"), values.split("\t"), strict=True))
    assert float(measured["max_rss"]) > 100  # MB, of the job and not of what waits for it
    again = run_snakemake(runs, "--cores", "2", warm=True)
    assert "Nothing to be done" in again.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_one_that_is_stopped_leaves_nothing(runs, number):
    """Ctrl-C in a terminal reaches all of its processes, a kill snakemake alone."""
    (runs / "wait").touch()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2"],
        cwd=runs,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: len(started(runs)) == 2)
    jobs = started(runs)
    assert all(forked and os.getpgid(pid) == process.pid for pid, _, forked in jobs)
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    process.wait(60)
    until(lambda: not any(is_there(pid) for job in jobs for pid in job[:2]), 30)
    assert not [pid for pid in of_group(process.pid) if is_there(pid)]


def of_group(group: int) -> list[int]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    members = []
    for pid in pids:
        with suppress(ProcessLookupError):
            members += [pid] if os.getpgid(pid) == group else []
    return members

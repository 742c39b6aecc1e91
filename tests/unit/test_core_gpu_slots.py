"""A GPU of its own for each job: fake devices, true processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from deltatune.core import gpu_devices, gpu_slots
from deltatune.core.errors import UserError
from deltatune.core.gpu_devices import AMD, NVIDIA, Device

SMI = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa-0)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb-1)
"""
MIG = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa-0)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc-0)
  MIG 3g.20gb     Device  1: (UUID: MIG-dddd-1)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb-1)
"""
TWO = [Device("0", "GPU-aaaa-0", "GPU-aaaa-0"), Device("1", "GPU-bbbb-1", "GPU-bbbb-1")]

JOB = """
import json, os, sys, time
sys.path.insert(0, {scripts!r})
from types import SimpleNamespace
name, gpu, gpus = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
from deltatune.core import gpu_slots, provenance, stage
gpu_slots.INTERVAL, gpu_slots.PATIENCE = 0.02, 0.1
snakemake = SimpleNamespace(
    rule="train_adapter", wildcards=[name], log=[f"{{name}}.log"], input=[], output=[], threads=1,
    resources=SimpleNamespace(gpu=gpu),
)
with stage.stage(snakemake, gpus=gpus):
    assert "torch" not in sys.modules
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    child = os.popen("echo $CUDA_VISIBLE_DEVICES").read().strip()
    with open(f"{{name}}.new", "w") as file:
        json.dump([seen, child, provenance._job["gpus"]], file)
    os.rename(f"{{name}}.new", f"{{name}}.json")
    while not os.path.exists(f"{{name}}.end"):
        time.sleep(0.02)
"""


class Jobs:
    """Scripts in processes of their own, in a folder with the nvidia-smi of a machine."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.running: dict[str, subprocess.Popen] = {}
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        for name in (NVIDIA, AMD, "SLURM_JOB_ID"):
            monkeypatch.delenv(name, raising=False)
        self.machine(SMI)

    def machine(self, listing: str) -> None:
        smi = self.folder / "nvidia-smi"
        smi.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] && cat <<'END'\n{listing}END\n")
        smi.chmod(0o755)

    def start(self, name: str, gpus: int = 1, gpu: int = 1) -> None:
        command = [sys.executable, "-c", JOB.format(scripts=str(ROOT / "scripts"))]
        self.running[name] = subprocess.Popen(
            [*command, name, str(gpu), str(gpus)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def sees(self, name: str) -> str | None:
        """Once it has begun: its CUDA_VISIBLE_DEVICES, which its children have too."""
        self.wait(lambda: (self.folder / f"{name}.json").exists(), name)
        seen, child, self.numbers = json.loads((self.folder / f"{name}.json").read_text())
        assert child == (seen or "")
        return seen

    def waits(self, name: str) -> str:
        """Once it says so: its log. It has not begun."""
        log = self.folder / f"{name}.log"
        self.wait(lambda: log.exists() and "waits for" in log.read_text(), name)
        assert not (self.folder / f"{name}.json").exists()
        return log.read_text()

    def end(self, name: str) -> str:
        (self.folder / f"{name}.end").touch()
        shown, _ = self.running[name].communicate(timeout=60)
        assert self.running[name].returncode == 0, shown
        return shown

    def wait(self, condition, name: str) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert self.running[name].poll() is None, self.running[name].communicate()[0]
            assert time.monotonic() < deadline, f"nothing of {name}"
            time.sleep(0.02)


@pytest.fixture
def jobs(tmp_path, monkeypatch) -> Iterator[Jobs]:
    started = Jobs(tmp_path, monkeypatch)
    yield started
    for process in started.running.values():
        process.kill()
        process.communicate()


def test_two_jobs_at_a_time_have_a_gpu_each_and_a_third_waits_for_one(jobs):
    jobs.start("a")
    assert jobs.sees("a") == "GPU-aaaa-0" and jobs.numbers == ["0"]
    jobs.start("b")
    assert jobs.sees("b") == "GPU-bbbb-1" and jobs.numbers == ["1"]
    jobs.start("c")
    log = jobs.waits("c")
    pid_a, pid_b = (jobs.running[name].pid for name in "ab")
    assert (
        "train_adapter c waits for a free GPU of 2: 0 is used by train_adapter a (process "
        f"{pid_a}); 1 is used by train_adapter b (process {pid_b})"
    ) in log
    time.sleep(0.2)
    # However a job ends, its GPU is free.
    jobs.running["b"].send_signal(signal.SIGKILL)
    assert jobs.sees("c") == "GPU-bbbb-1"
    shown = jobs.end("c")
    assert shown.count("waits for") == 1 and "waits for a free GPU of 2" in shown
    assert "waited" in (jobs.folder / "c.log").read_text()
    assert "waits" not in jobs.end("a")


def test_a_job_takes_several_at_once_or_none(jobs):
    jobs.start("one")
    jobs.sees("one")
    # Snakemake counts no more than --resources gives; the job says how many it takes.
    jobs.start("two", gpus=2)
    jobs.start("other-two", gpus=2)
    assert "waits for 2 free GPUs of 2" in jobs.waits("two")
    jobs.waits("other-two")
    # Neither of them holds the one that is free.
    assert not list(jobs.folder.glob("*two.json"))
    jobs.start("quick")
    assert jobs.sees("quick") == "GPU-bbbb-1"
    jobs.end("quick")
    jobs.end("one")
    jobs.wait(lambda: list(jobs.folder.glob("*two.json")), "two")
    (begun,) = (path.stem for path in jobs.folder.glob("*two.json"))
    other = {"two": "other-two", "other-two": "two"}[begun]
    assert jobs.sees(begun) is None  # it may use all that there are
    assert jobs.numbers == ["0", "1"]
    jobs.waits(other)
    jobs.end(begun)
    jobs.sees(other)
    jobs.end(other)


@pytest.fixture
def take(tmp_path, monkeypatch) -> Iterator:
    """What a job takes in an environment: (its numbers, its CUDA_VISIBLE_DEVICES); None where it
    would wait. A lock is of an opened file, so one process is as good as many."""
    monkeypatch.setattr(gpu_slots.tempfile, "tempdir", str(tmp_path))

    def run(count: int = 1, devices: list[Device] = TWO, **environment: str):
        def usable(environment):
            return gpu_devices.usable(environment, lambda: (NVIDIA, devices))

        try:
            numbers = gpu_slots.take(count, "a", environment=environment, usable=usable)
        except InterruptedError:
            return None
        return numbers, environment.get(NVIDIA)

    def sleep(seconds: float) -> None:
        raise InterruptedError

    monkeypatch.setattr(gpu_slots.time, "sleep", sleep)
    yield run
    gpu_slots._places.clear()
    while gpu_slots._locks:
        gpu_slots._locks.pop().close()


@pytest.mark.parametrize("name", ["1", "GPU-bb"])
def test_what_a_person_left_to_it_is_shared(take, name):
    assert take() == (["0"], "GPU-aaaa-0")
    # A single one serves all jobs at a time that are asked for.
    for _ in range(2):
        assert take(CUDA_VISIBLE_DEVICES=name) == (["1"], name)
    # By whatever name it goes: to the first run, both are taken.
    assert take() is None


@pytest.mark.parametrize(
    ("visible", "at_a_time", "jobs"),
    [("1", 4, 4), ("1", 1, 1), ("0,1", 8, 1), ("0,0,0,1", 8, 3), ("none", 4, 1)],
)
def test_how_many_jobs_divide_the_memory_of_a_gpu(take, visible, at_a_time, jobs):
    assert gpu_slots.jobs_per_gpu(at_a_time) == 1  # of a job that has taken none
    take(CUDA_VISIBLE_DEVICES=visible)
    assert gpu_slots.jobs_per_gpu(at_a_time) == jobs


def test_a_device_that_is_listed_twice_serves_two_jobs_at_a_time(take):
    for _ in range(2):
        assert take(CUDA_VISIBLE_DEVICES="1,1") == (["1"], "1")
    assert take(CUDA_VISIBLE_DEVICES="1,1") is None
    assert take() == (["0"], "GPU-aaaa-0")
    # CUDA takes such a list for none at all.
    for count in (0, 2):
        assert take(count, CUDA_VISIBLE_DEVICES="1, 1") == ([], "1")


def test_nothing_happens_without_a_choice(take):
    for _ in range(2):
        assert take(3) == ([], None)  # train_adapter says so
        assert take(devices=[]) == ([], None)
        # SLURM gave this job none, or what it needs, and other jobs of the machine other GPUs.
        assert take(SLURM_JOB_ID="7") == ([], None)
        assert take(SLURM_JOB_ID="7", CUDA_VISIBLE_DEVICES="0") == ([], "0")
        assert take(devices=TWO[:1]) == (["0"], None)


def test_an_allocation_of_several_in_which_a_person_runs_snakemake(take):
    assert take(2) == (["0", "1"], None)
    for number in "01":
        given = take(SLURM_JOB_ID="7", CUDA_VISIBLE_DEVICES="0,1")
        assert given == ([number], number)
    assert take(SLURM_JOB_ID="7", CUDA_VISIBLE_DEVICES="0,1") is None


def test_somebody_elses_folder_of_locks_is_refused(take, tmp_path, monkeypatch):
    (tmp_path / "deltatune-gpus-1234567").mkdir()
    monkeypatch.setattr(gpu_slots.os, "getuid", lambda: 1234567)
    with pytest.raises(UserError, match="belongs to somebody else"):
        take()


def test_a_job_that_asks_for_none_takes_none(jobs):
    jobs.start("no-gpu", gpu=0)
    assert jobs.sees("no-gpu") is None and jobs.numbers == []


def test_parts_of_a_gpu_are_devices(jobs):
    jobs.machine(MIG)
    variable, devices = gpu_devices.usable({})
    assert variable == NVIDIA
    assert [(device.number, device.visible) for device in devices] == [
        ("0:0", "MIG-cccc-0"),
        ("0:1", "MIG-dddd-1"),
        ("1", "GPU-bbbb-1"),
    ]
    _, chosen = gpu_devices.usable({NVIDIA: "MIG-dd,MIG-cccc-0"})
    assert [device.visible for device in chosen] == ["MIG-dd", "MIG-cccc-0"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("1,0", ["1", "0"]),
        (" 0 , GPU-b", ["0", "GPU-b"]),
        ("0,-1,1", ["0"]),
        ("5", []),
        ("GPU-", []),  # which of two?
        ("", []),
        ("NoDevFiles", []),
    ],
)
def test_a_list_is_read_as_cuda_reads_it(names, expected):
    assert [device.visible for device in gpu_devices.listed(names, TWO)] == expected


def test_gpus_are_found_without_nvidia_smi(tmp_path, monkeypatch):
    """A container has the files of the devices that it was given."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "dev/dri").mkdir(parents=True)
    assert gpu_devices.find(tmp_path) == (AMD, [])
    for number, unique, simd in ((0, 0, 0), (1, 77, 304), (2, 78, 304), (10, 79, 304)):
        node = tmp_path / f"sys/class/kfd/kfd/topology/nodes/{number}"
        node.mkdir(parents=True)
        facts = f"simd_count {simd}\ndrm_render_minor {number}\nunique_id {unique}\n"
        (node / "properties").write_text(facts)
        if number != 1:
            (tmp_path / f"dev/dri/renderD{number}").touch()
    variable, devices = gpu_devices.usable({}, lambda: gpu_devices.find(tmp_path))
    assert variable == AMD
    assert devices == [Device("0", "AMD-78", "0"), Device("1", "AMD-79", "1")]
    for other in (NVIDIA, "ROCR_VISIBLE_DEVICES"):
        assert gpu_devices.usable({other: "0"}, lambda: (AMD, devices)) == (AMD, [])
    for bus, minor, uuid in (("1a", 3, "GPU-eeee"), ("0f", 0, "GPU-aaaa"), ("2b", 1, "GPU-?")):
        gpu = tmp_path / f"proc/driver/nvidia/gpus/0000:{bus}:00.0"
        gpu.mkdir(parents=True)
        information = f"Model: \t NVIDIA H100\nGPU UUID: \t {uuid}\nDevice Minor: \t {minor}\n"
        (gpu / "information").write_text(information)
    for minor in (1, 3):
        (tmp_path / f"dev/nvidia{minor}").touch()
    assert gpu_devices.find(tmp_path) == (
        NVIDIA,
        [Device("0", "GPU-eeee", "GPU-eeee"), Device("1", "1", "1")],
    )

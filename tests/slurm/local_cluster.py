"""A SLURM of one node on loopback: real munged, slurmctld and slurmd, started and stopped here."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock

#: Not in the scratch folder: the executor takes SLURM_CONF out of its jobs' environment.
ETC = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf")
COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
DAEMONS = ("slurmd", "slurmctld", "munged")

# As on a cluster: CPUs, memory and GPUs are allocated; nothing is accounted. What the machine has
# is not looked at, so that a job can ask for what a real model takes.
HEADER = "# Written by a test; left behind, it may be deleted.\n"
SLURM_CONF = """
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={next_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=5
MpiDefault=none
ReturnToService=2
MinJobAge=3600
KillWait=30
GresTypes=gpu
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 Gres=gpu:a100:1 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES DefMemPerCPU=500 MaxTime=2-00:00:00 State=UP
PartitionName=gpu Nodes={host} Default=NO DefMemPerCPU=500 MaxTime=2-00:00:00 State=UP
"""
GRES_CONF = "NodeName={host} Name=gpu Type=a100 Count=1 File={folder}/gpu0\n"


class Unavailable(Exception):
    """Why there can be no SLURM here."""


@dataclass(frozen=True)
class Job:
    """One record of `scontrol show job`, or what it says of a job after its end."""

    id: int
    fields: dict[str, str]

    @property
    def comment(self) -> str:
        return self.fields["Comment"]

    @property
    def rule(self) -> str:
        """The executor writes rule_NAME_wildcards_VALUES as a comment."""
        return re.sub(r"^rule_|_wildcards_.*", "", self.comment)

    @property
    def state(self) -> str:
        return self.fields["JobState"]

    @property
    def tres(self) -> dict[str, str]:
        """What it was given: cpu, mem, gres/gpu."""
        return dict(part.split("=") for part in self.fields["TRES"].split(","))

    @property
    def memory(self) -> int:
        """In MB."""
        number, unit = re.fullmatch(r"([\d.]+)([MG])", self.tres["mem"]).groups()
        return round(float(number) * {"M": 1, "G": 1024}[unit])

    @property
    def cpus(self) -> int:
        return int(self.tres["cpu"])

    @property
    def gpus(self) -> str:
        """As gres:gpu:TYPE:COUNT, or nothing."""
        return self.fields.get("TresPerJob", "")

    @property
    def minutes(self) -> float:
        """Its time limit."""
        days, clock = re.fullmatch(r"(?:(\d+)-)?(\d+:\d+:\d+)", self.fields["TimeLimit"]).groups()
        hours, minutes, seconds = map(int, clock.split(":"))
        return int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60

    @property
    def ran(self) -> tuple[datetime, datetime]:
        start, end = (datetime.fromisoformat(self.fields[k]) for k in ("StartTime", "EndTime"))
        return start, end


class Cluster:
    """Use as a context manager; the folder takes state, logs and the fake GPU."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[str, bytes | None] = {}
        self._lock = FileLock(Path(tempfile.gettempdir()) / "slurm-of-tests.lock")

    def __enter__(self) -> Cluster:
        missing = [command for command in COMMANDS if not shutil.which(command)]
        if missing:
            raise Unavailable(f"slurm-wlm and munge are not installed: no {', '.join(missing)}")
        if os.geteuid() != 0:
            raise Unavailable("starting slurmctld and slurmd takes root")
        # One at a time, as they share /etc/slurm.
        self._lock.acquire()
        try:
            self._configure()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # slurmstepd and what it started would outlive slurmd.
        with suppress(OSError, subprocess.SubprocessError):
            end = time.monotonic() + 60
            while (jobs := self.queue()) and time.monotonic() < end:
                self.command("scancel", *map(str, jobs))
                time.sleep(1)
        for daemon in DAEMONS:
            self._stop(daemon)
        for name, content in self._kept.items():
            if content is None:
                (ETC / name).unlink(missing_ok=True)
            else:
                (ETC / name).write_bytes(content)
        self._lock.release()

    # ------------------------------------------------------------ what tests ask

    def command(self, *arguments: str, seconds: float = 30) -> str:
        done = subprocess.run(
            arguments, capture_output=True, text=True, timeout=seconds, check=False
        )
        if done.returncode != 0:
            raise OSError(f"{' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def queue(self) -> list[int]:
        """Jobs that wait, run or are about to end."""
        return [int(line) for line in self.command("squeue", "--noheader", "--format=%A").split()]

    def jobs(self, after: int = 0) -> list[Job]:
        """All jobs with a number above `after`, in the order in which they were submitted."""
        output = self.command("scontrol", "show", "job", "--oneliner", "--detail")
        records = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in output.splitlines()]
        jobs = [Job(int(r["JobId"]), r) for r in records if "JobId" in r]
        return sorted((job for job in jobs if job.id > after), key=lambda job: job.id)

    def last(self) -> int:
        return max((job.id for job in self.jobs()), default=0)

    def logs(self) -> str:
        """The last lines of the daemons' logs."""
        paths = sorted(self.folder.glob("*.log"))
        return "\n".join(f"== {p.name}\n{p.read_text()[-3000:]}" for p in paths)

    # ------------------------------------------------------------ start and stop

    def _configure(self) -> None:
        # munge wants every folder above its socket closed to others, or sticky as /tmp is.
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(64))
        key.chmod(0o600)
        port = _free_port()
        values = {
            "host": socket.gethostname().split(".")[0],
            "folder": self.folder,
            "port": port,
            "next_port": _free_port(),
        }
        try:
            os.mknod(self.folder / "gpu0", 0o600 | stat.S_IFCHR, os.makedev(195, 250))
        except PermissionError as error:
            raise Unavailable("no device node may be made here") from error
        ETC.mkdir(parents=True, exist_ok=True)
        for name, text in zip(FILES, (SLURM_CONF, GRES_CONF), strict=True):
            path = ETC / name
            kept = path.read_bytes() if path.exists() else None
            # What a test that was killed has left behind is not put back.
            ours = kept is not None and kept.startswith(HEADER.encode())
            self._kept[name] = None if ours else kept
            path.write_text(HEADER + text.format(**values).lstrip())

    def _start(self) -> None:
        folder = self.folder
        self.command(
            "munged",
            "--force",
            f"--key-file={folder}/munge.key",
            f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munged.pid",
            f"--log-file={folder}/munged.log",
            f"--seed-file={folder}/munge.seed",
        )
        self.command("slurmctld", "-c")
        self.command("slurmd")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with suppress(OSError, subprocess.SubprocessError):
                if "idle" in self.command("sinfo", "--noheader", "--format=%T", seconds=5):
                    return
            time.sleep(0.5)
        raise RuntimeError(f"SLURM did not come up\n{self.logs()}")

    def _stop(self, daemon: str) -> None:
        path = self.folder / f"{daemon}.pid"
        if not path.exists():
            return
        pid = int(path.read_text())
        for how in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(pid, how)
            for _ in range(100):
                if not _alive(pid):
                    return
                time.sleep(0.1)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]

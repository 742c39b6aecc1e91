"""Checkpoints as files; what is in them is tested in test_train_trainer.py."""

import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from deltatune.core.errors import UserError
from deltatune.train import checkpoints
from deltatune.train.checkpoints import Checkpoints, SaveTimer

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def opened(folder, run="fingerprint", messages=None):
    saved = Checkpoints(folder, run, (messages if messages is not None else []).append)
    saved.open()
    return saved


def writes(text="state"):
    def write(folder):
        (folder / "a").write_text(text)
        (folder / "b").write_text(text * 2)

    return write


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints" / "experiment" / "seed-1"


def test_the_newest_is_found_and_the_one_before_it_kept(folder):
    saved = opened(folder)
    assert saved.latest() is None
    for step in (5, 90, 100, 1000):
        assert saved.save(step, writes(str(step)))
    assert (saved.latest() / "a").read_text() == "1000"
    assert [path.name for path in saved.paths()] == ["step-00000100", "step-00001000"]


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: (path / "a").write_text("stat"),
        lambda path: (path / "a").write_text(""),
        lambda path: (path / "b").unlink(),
        lambda path: (path / "hashes.json").unlink(),
        lambda path: (path / "hashes.json").write_text("{"),
        lambda path: (path / "hashes.json").write_text("{}"),
        lambda path: (path / "hashes.json").write_bytes(b"\xff\x00"),
        lambda path: (path / "hashes.json").write_text('["a"]'),
    ],
)
def test_a_damaged_one_is_reported_deleted_and_the_one_before_it_used(folder, harm):
    messages = []
    saved = opened(folder, messages=messages)
    saved.save(1, writes("old"))
    saved.save(2, writes("new"))
    harm(saved.latest())
    assert (saved.latest() / "a").read_text() == "old"
    assert len(messages) == 1 and messages[0].startswith(
        "The checkpoint of step 2 is not used: its "
    )
    assert len(saved.paths()) == 1
    harm(saved.latest())
    assert saved.latest() is None and len(messages) == 2


def test_those_of_other_settings_are_deleted(folder):
    opened(folder, "one").save(3, writes())
    release(folder)
    saved = opened(folder, "two")
    assert saved.latest() is None
    assert {path.name for path in folder.iterdir()} == {"lock", "two"}


def release(folder):
    """Let go of the lock, as a process does that ends."""
    inode = (folder / "lock").stat().st_ino
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.fstat(int(number)).st_ino == inode:
                os.close(int(number))
        except OSError:
            continue


def test_one_that_was_not_finished_is_not_seen(folder):
    saved = opened(folder)

    def killed(path):
        writes()(path)
        raise KeyboardInterrupt

    saved.save(1, writes())
    with pytest.raises(KeyboardInterrupt):
        saved.save(2, killed)
    assert saved.latest().name == "step-00000001"
    release(folder)
    assert opened(folder).latest().name == "step-00000001"
    assert not list(folder.rglob("partial"))


def test_a_full_disk_is_reported_once_and_what_was_there_stays(folder):
    messages = []
    saved = opened(folder, messages=messages)

    def full(path):
        writes()(path)
        raise OSError(28, "No space left on device")

    assert saved.save(1, writes())
    assert not saved.save(2, full) and not saved.save(3, full)
    assert len(messages) == 1 and "step 2" in messages[0] and "training continues" in messages[0]
    assert saved.latest().name == "step-00000001"
    assert not list(folder.rglob("partial"))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_disk_that_is_really_full(folder):
    folder.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder]).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        messages = []
        saved = opened(folder, messages=messages)
        assert saved.save(1, writes("x" * 5_000))
        assert not saved.save(2, writes("x" * 100_000))
        assert len(messages) == 1 and "No space left" in messages[0]
        assert saved.latest().name == "step-00000001"
        # Nothing fits any more, not even the lock's number.
        (folder / "filler").write_bytes(b"")
        with open(folder / "filler", "ab", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(b"x" * 4096)
        assert not saved.save(3, writes("x" * 5_000))
        release(folder)
        assert opened(folder).latest().name == "step-00000001"
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_nothing_is_left_after_success(folder):
    saved = opened(folder)
    saved.save(1, writes())
    saved.remove()
    assert not folder.parents[1].exists()
    other = opened(folder.with_name("seed-2"))
    saved = opened(folder)
    saved.remove()
    assert not folder.exists() and other.folder.exists()


# ---------------------------------------------------------------- when to save


def test_saving_takes_a_fiftieth_of_the_time():
    now = [0.0]
    timer = SaveTimer(clock=lambda: now[0])
    assert not timer.expired()
    now[0] = 2.0
    assert timer.expired()
    for seconds, wait in [(0.001, 2), (1, 50), (5, 250), (60, 600)]:
        timer.restart(seconds)
        now[0] += wait - 0.5
        assert not timer.expired()
        now[0] += 0.5
        assert timer.expired()
    timer.restart(0.001, succeeded=False)
    now[0] += 599
    assert not timer.expired()


# ---------------------------------------------------------------- one process at a time

HOLDER = """
    import sys, time
    from pathlib import Path
    from deltatune.core import signals
    from deltatune.train.checkpoints import Checkpoints
    if "parent" in sys.argv:
        signals.end_with_parent()
    saved = Checkpoints(Path(sys.argv[1]), "fingerprint")
    saved.open()
    with signals.catch_stop_signals() as asked:
        print("open", flush=True)
        while not asked():
            time.sleep(0.02)
    saved.save(7, lambda path: (path / "a").write_text("end"))
    if "remove" in sys.argv:
        saved.remove()
"""


def holder(folder, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), folder, *arguments],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "open\n"
    return process


def test_a_run_waits_for_the_process_of_an_earlier_one(folder):
    process = holder(folder)
    messages = []
    saved = Checkpoints(
        folder, "fingerprint", lambda text: (messages.append(text), process.terminate())
    )
    saved.open()
    assert messages == [f"Waiting for process {process.pid} of an earlier run, which must save."]
    assert saved.latest().name == "step-00000007"
    assert process.wait() == 0


def test_a_run_waits_for_one_that_ends_well_and_deletes_the_folder(folder):
    process = holder(folder, "remove")
    saved = Checkpoints(folder, "fingerprint", lambda text: process.terminate())
    saved.open()
    assert process.wait() == 0 and saved.latest() is None
    with open(folder / "lock") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_run_does_not_wait_for_ever(folder, monkeypatch):
    monkeypatch.setattr(checkpoints, "LOCK_TIMEOUT", 0.3)
    process = holder(folder)
    try:
        with pytest.raises(UserError, match=f"kill {process.pid}"):
            opened(folder)
    finally:
        process.terminate()
        process.wait()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone has it")
def test_a_process_is_asked_to_stop_when_its_parent_is_killed(folder):
    middle = f"""
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", {textwrap.dedent(HOLDER)!r},
                                  {str(folder)!r}, "parent"], stdout=subprocess.PIPE, text=True)
        child.stdout.readline()
        print(child.pid, flush=True)
        time.sleep(60)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(middle)],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stdout=subprocess.PIPE,
        text=True,
    )
    child = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    saved = opened(folder)  # waits until the child has saved and ended
    assert saved.latest().name == "step-00000007"
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or _is_a_zombie(child):
            return
        time.sleep(0.1)
    pytest.fail("the child is still running")


def _is_a_zombie(process):
    return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_a_second_signal_ends_the_process(folder):
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time; from deltatune.core import signals\n"
            "with signals.catch_stop_signals():\n print('open', flush=True)\n time.sleep(60)",
        ],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.terminate()
    time.sleep(0.3)
    assert process.poll() is None
    process.terminate()
    assert process.wait(10) == -signal.SIGTERM

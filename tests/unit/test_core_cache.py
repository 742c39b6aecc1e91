"""Finished work: found whole, never damaged, never in the way."""

import errno
import os
import shutil
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace

import pytest
from deltatune.core import cache
from deltatune.core.paths import SCRIPTS
from deltatune.models.load import PACKAGES
from packaging.utils import canonicalize_name
from test_rooms import imported_names

OUTPUTS = {"adapter": "results/adapter", "hashes": "results/adapter.sha256"}
CACHED = (
    *("train_adapter", "tokenize_split", "generate_answers", "answer_prompts"),
    *("score_text", "score_labels"),
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    return Path("results/cache")


def make(content: str = "weights") -> None:
    shutil.rmtree("results/adapter", ignore_errors=True)
    Path("results/adapter/inner").mkdir(parents=True)
    Path("results/adapter/model").write_text(content)
    Path("results/adapter/inner/settings").write_text("{}")
    Path("results/adapter/.snakemake_timestamp").touch()
    Path("results/adapter.sha256").write_text(f"hash of {content[:8]}")


def remove() -> None:
    """As Snakemake does before a job."""
    shutil.rmtree("results/adapter", ignore_errors=True)
    Path("results/adapter.sha256").unlink(missing_ok=True)


def kept(key: str = "one", max_bytes: int = 10**6, messages: list | None = None) -> cache.Kept:
    return cache.Kept(key, OUTPUTS, max_bytes, [].append if messages is None else messages.append)


def made() -> dict[str, str]:
    files = (path for path in Path("results").rglob("*") if path.is_file())
    return {
        path.relative_to("results").as_posix(): path.read_text()
        for path in files
        if "cache" not in path.parts and not path.name.startswith(".")
    }


def test_what_was_kept_comes_back_whole():
    make()
    before = made()
    assert not kept().restore()
    kept().store()
    remove()
    assert made() == {}
    assert kept().restore()
    assert made() == before and not kept("two").restore()


def test_folders_are_linked_and_files_are_new(folder):
    """Snakemake compares the date of a file, and of a folder that of its own stamp."""
    make()
    old = 10**9
    os.utime("results/adapter.sha256", (old, old))
    kept().store()
    remove()
    assert kept().restore()
    for name in ("adapter/model", "adapter/inner/settings"):
        assert os.path.samefile(f"results/{name}", folder / "one" / name)
    assert not os.path.samefile("results/adapter.sha256", folder / "one/hashes")
    assert Path("results/adapter.sha256").stat().st_mtime > old


def test_without_links_there_are_copies(folder, monkeypatch):
    def refuse(self, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    make()
    before = made()
    kept().store()
    Path("results/adapter/model").write_text("edited")
    assert kept().restore()
    assert made() == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "adapter/model").write_text("weighty"),
        lambda entry: (entry / "adapter/model").unlink(),
        lambda entry: (entry / "adapter/more").touch(),
        lambda entry: (entry / "hashes").unlink(),
        lambda entry: (entry / "hashes.json").unlink(),
        lambda entry: (entry / "hashes.json").write_text("{"),
        lambda entry: (entry / "hashes.json").write_text("[]"),
        # A link of it: what is edited in results/ is edited here.
        lambda _: Path("results/adapter/model").write_text("edited"),
    ],
)
def test_what_x_and_not_used(folder, damage):
    make()
    before = made()
    kept().store()
    damage(folder / "one")
    remove()
    messages = []
    assert not kept(messages=messages).restore()
    assert made() == {} and list(folder.iterdir()) == []
    assert messages == ["results/cache/one is damaged: its content is computed again."]
    make()
    kept().store()
    remove()
    assert kept().restore()
    assert made() == before


def test_a_killed_job_leaves_nothing_that_is_read(folder, monkeypatch):
    make()

    def killed(source, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        patch.setattr(cache, "_delete", lambda path: None)
        with pytest.raises(KeyboardInterrupt):
            kept().store()
    [partial] = folder.iterdir()
    assert not kept().restore()
    kept("two").store()
    assert partial.exists(), "another job may be writing it"
    os.utime(partial, (10**9, 10**9))
    kept("three").store()
    assert sorted(path.name for path in folder.iterdir()) == ["three", "two"]


def test_of_two_jobs_that_keep_the_same_the_first_counts(folder):
    make()
    messages = []
    kept(messages=messages).store()
    before = (folder / "one").stat().st_ino
    kept(messages=messages).store()
    assert [path.stat().st_ino for path in folder.iterdir()] == [before] and messages == []


def test_an_entry_that_goes_while_it_is_read_is_no_damage(folder, monkeypatch):
    make()
    kept().store()
    remove()
    copy = cache._copy

    def deleted_after(source, target):
        copy(source, target)
        shutil.rmtree(folder / "one")

    monkeypatch.setattr(cache, "_copy", deleted_after)
    messages = []
    assert not kept(messages=messages).restore()
    assert made() == {} and messages == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_where_nothing_can_be_written_the_results_stay(folder, monkeypatch, number):
    make()
    before = made()

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    messages = []
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", refuse)
        kept(messages=messages).store()
    assert made() == before and list(folder.iterdir()) == []
    assert len(messages) == 1 and os.strerror(number) in messages[0]


def test_a_cache_that_cannot_be_read_is_left_as_it_is(folder, monkeypatch):
    make()
    kept().store()
    remove()

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    messages = []
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", refuse)
        assert not kept(messages=messages).restore()
    assert made() == {} and "Permission denied" in messages[0]
    assert kept().restore()


def test_the_least_recently_used_go_first(folder):
    for number, key in enumerate(("one", "two", "three")):
        make("x" * 1000)
        kept(key).store()
        os.utime(folder / key, (10**9 + number, 10**9 + number))
        remove()
    assert kept("one").restore()  # the oldest is used
    make("x" * 1000)
    kept("four", max_bytes=3500).store()
    assert sorted(path.name for path in folder.iterdir()) == ["four", "one", "three"]
    remove()
    make("other")
    kept("five", max_bytes=600).store()
    assert [path.name for path in folder.iterdir()] == ["five"]


def test_what_results_share_takes_no_space(folder):
    make("x" * 5000)
    kept(max_bytes=1000).store()
    assert [path.name for path in folder.iterdir()] == ["one"]
    remove()
    make("other")
    kept("two", max_bytes=1000).store()
    assert [path.name for path in folder.iterdir()] == ["two"]


# ---------------------------------------------------------------- fingerprints


def job(**changes) -> SimpleNamespace:
    usual = {
        "rule": "train_adapter",
        "params": {"settings": {"rank": 8}, "code": "0123"},
        "input": ["results/a.sha256", "results/model"],
        "output": OUTPUTS,
        "resources": SimpleNamespace(cache_mb=1),
    }
    return SimpleNamespace(**usual | changes)


@pytest.fixture
def inputs():
    Path("results/model").mkdir()
    Path("results/a.sha256").write_text("hash  model/weights")
    Path("results/b.sha256").write_text("hash  model/weights")


def test_a_fingerprint_is_of_all_that_decides(inputs, monkeypatch):
    def after(change) -> str:
        with monkeypatch.context() as patch:
            change(patch)
            return cache.fingerprint(job())

    def content(_):
        Path("results/a.sha256").write_text("another  model/weights")

    prints = [
        cache.fingerprint(job()),
        cache.fingerprint(job(rule="score_text")),
        cache.fingerprint(job(params={"settings": {"rank": 16}, "code": "0123"})),
        cache.fingerprint(job(params={"settings": {"rank": 8}, "code": "4567"})),
        cache.fingerprint(job(input=["results/b.sha256"])),
        after(lambda p: p.setattr(cache.manifest, "versions", lambda names: {"torch": "9"})),
        after(lambda p: p.setattr(cache.provenance, "processor", lambda: "another")),
        after(lambda p: p.setattr(cache, "_instructions", lambda: ["avx2"])),
        after(lambda p: p.setattr(cache, "_gpus", lambda: ["H100"])),
        after(content),
    ]
    assert len(set(prints)) == len(prints)


def test_the_order_of_keys_is_no_part_of_it(inputs):
    one, two = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert cache.fingerprint(job(params=one)) == cache.fingerprint(job(params=two))


def test_zero_switches_it_off(inputs):
    assert cache.of_job(job(), print) is not None
    assert cache.of_job(job(resources=SimpleNamespace(cache_mb=0)), print) is None


def test_instruction_sets_are_read(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nflags\t\t: fpu sse4_2 avx2 nx avx512f\n\nflags\t\t: fpu\n")
    assert cache._instructions(file) == ["avx2", "avx512f", "sse4_2"]
    file.write_text("processor\t: 0\nFeatures\t: fp asimd sve\n")
    assert cache._instructions(file) == ["asimd", "sve"]
    assert cache._instructions(tmp_path / "absent") == []


def test_no_package_that_computes_is_forgotten():
    """All that the cached scripts import, and the library's modules below them."""
    files, todo = set(), [SCRIPTS / f"{name}.py" for name in CACHED]
    todo += [SCRIPTS / "deltatune/train/worker.py", *(SCRIPTS / "deltatune/tasks").glob("*.py")]
    names = set()
    while todo:
        file = todo.pop()
        if file in files or not file.is_file():
            continue
        files.add(file)
        imported = imported_names(file)
        names |= {name.split(".")[0] for name in imported}
        todo += [
            SCRIPTS / f"{name.replace('.', '/')}.py" for name in imported if "deltatune." in name
        ]
    known = {canonicalize_name(name) for name in cache.PACKAGES}
    distributions = packages_distributions()
    third_parties = names - sys.stdlib_module_names - {"deltatune", ""}
    # Settings are checked with the one, and memory is measured with the other.
    missing = {
        name
        for name in third_parties - {"pydantic", "psutil"}
        if not {canonicalize_name(one) for one in distributions.get(name, [name])} & known
    }
    assert {"torch", "transformers", "peft"} <= third_parties and missing == set()
    assert {canonicalize_name(name) for name in PACKAGES} <= known


def test_the_cached_stages_are_those_of_the_rules():
    cached = {script.stem for script in SCRIPTS.glob("*.py") if "cached=True" in script.read_text()}
    assert cached == set(CACHED)

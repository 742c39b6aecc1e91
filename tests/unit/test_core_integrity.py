from pathlib import Path

import pytest
from deltatune.core import hashing, integrity
from deltatune.core.errors import UserError


@pytest.fixture(autouse=True)
def made(tmp_path, monkeypatch):
    """A table and a folder of weights, made by a stage in results/."""
    monkeypatch.chdir(tmp_path)
    folder = Path("results/models/m/model")
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights" * 1000)
    (folder / "config.json").write_text("{}")
    hashing.write_hashes(folder, "results/models/m/weights.sha256")
    Path("results/table.csv").write_text("a,b\n1,2\n3,4\n")
    integrity.record(["results/table.csv", "results/models/m/model", WEIGHTS])


TABLE, WEIGHTS = "results/table.csv", "results/models/m/weights.sha256"


def test_what_was_made_passes():
    integrity.check([TABLE, WEIGHTS, "results/models/m/model", "results/not_there.csv"])


def test_the_checksum_is_what_sha256sum_reads():
    import subprocess

    kept = Path("results/checksums/table.csv.sha256")
    done = subprocess.run(["sha256sum", "-c", kept], capture_output=True, text=True)
    assert done.stdout == "results/table.csv: OK\n"


def test_half_a_table_is_refused():
    Path(TABLE).write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"results/table.csv is not what was made.*Delete results/"):
        integrity.check([TABLE])


@pytest.mark.parametrize("damage", ["truncated", "one bit", "removed"])
def test_damaged_weights_are_refused(damage):
    path = Path("results/models/m/model/model.safetensors")
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[:-1])
    elif damage == "one bit":
        path.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    else:
        path.unlink()
    with pytest.raises(UserError, match=rf"model.safetensors is .*Delete {WEIGHTS}"):
        integrity.check([WEIGHTS])


def test_a_hash_file_that_was_changed_with_its_weights_is_refused():
    path = Path("results/models/m/model/model.safetensors")
    path.write_bytes(b"other")
    hashing.write_hashes(path.parent, WEIGHTS)
    with pytest.raises(UserError, match=r"weights\.sha256 is not what was made"):
        integrity.check([WEIGHTS])


def test_a_user_s_own_file_may_change(tmp_path):
    own = tmp_path / "data.csv"
    own.write_text("1")
    integrity.record([str(own), "data.csv"])
    own.write_text("2")
    integrity.check([str(own), "data.csv"])
    assert not list(Path("results/checksums").glob("**/data*"))


def test_made_anew_it_passes_again():
    Path(TABLE).write_text("a,b\n1,2\n")
    integrity.record([TABLE])
    integrity.check([TABLE])

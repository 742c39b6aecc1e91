import json
import os
import re
import subprocess
import sys
from pathlib import Path

from deltatune.core import hashing, manifest


def test_hashes_are_those_of_sha256sum(tmp_path):
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "b.txt").write_bytes(b"two\n")
    (folder / "a with space.txt").write_bytes(b"one\n")
    (folder / "deep" / "tokenizer.json").write_bytes(b"{}")
    (folder / ".hidden").write_bytes(b"not listed")
    returned = hashing.write_hashes(folder, tmp_path / "weights.sha256")
    assert list(returned) == ["model/a with space.txt", "model/b.txt", "model/deep/tokenizer.json"]
    assert hashing.read_hashes(tmp_path / "weights.sha256") == returned
    checked = subprocess.run(
        ["sha256sum", "-c", "weights.sha256"], cwd=tmp_path, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (folder / "b.txt").write_bytes(b"three\n")
    checked = subprocess.run(
        ["sha256sum", "-c", "weights.sha256"], cwd=tmp_path, capture_output=True
    )
    assert checked.returncode == 1


def test_hashes_of_some_files_do_not_change_with_others(tmp_path):
    """A new weight must not tokenize again."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_text("1")
    file = tmp_path / "tokenizer.sha256"
    hashing.write_hashes(folder, file, without="*.safetensors*")
    before = file.read_bytes()
    (folder / "model.safetensors").write_text("2")
    hashing.write_hashes(folder, file, without="*.safetensors*")
    assert file.read_bytes() == before
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    hashing.write_hashes(folder, file, without="*.safetensors*")
    assert file.read_bytes() != before


def test_a_manifest_tells_content_versions_seconds_and_memory(tmp_path):
    path = tmp_path / "manifest.json"
    manifest.write(path, ["numpy", "no-such-package"], settings={"b": 1, "a": "Übung"}, count=3)
    record = manifest.read(path)
    assert list(record)[:2] == ["settings", "count"]
    assert record["settings"] == {"b": 1, "a": "Übung"}
    assert "Übung" in path.read_text(encoding="utf-8")
    assert set(record["versions"]) == {"python", "numpy"}
    assert re.fullmatch(r"[\d.]+", record["versions"]["numpy"])
    assert record["seconds"] > 0
    # A process with pytest in it holds between 10 MB and 100 GB: KiB and bytes are told apart.
    assert 0.01 < record["peak_memory_gb"] < 100
    assert "peak_gpu_memory_gb" in record or not manifest._peak_gpu_memory()


def test_the_file_is_utf_8_whatever_the_locale(tmp_path):
    script = "from deltatune.core.manifest import write; write('m.json', title='\\xdcbung \\u2603')"
    environment = os.environ | {
        "LC_ALL": "POSIX",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONPATH": str(Path(manifest.__file__).parents[2]),
    }
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)
    assert json.loads((tmp_path / "m.json").read_bytes().decode("utf-8"))["title"] == "Übung ☃"


def test_what_is_no_number_is_null(tmp_path):
    """JSON has no NaN, and other programs than Python's refuse a file that has."""
    path = tmp_path / "manifest.json"
    manifest.write(path, a=float("nan"), b=[float("inf"), 1.5], c={"d": (float("-inf"),)})
    text = path.read_text()
    assert "NaN" not in text and "Infinity" not in text
    record = manifest.read(path)
    assert (record["a"], record["b"], record["c"]) == (None, [None, 1.5], {"d": [None]})

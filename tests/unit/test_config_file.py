"""config.yaml as a file: what YAML would let pass is refused with its line."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
from conftest import ROOT
from deltatune.config import file
from deltatune.config.problems import ConfigError, Problem
from deltatune.core.errors import UserError
from deltatune.core.text import printable

DEFAULT = (ROOT / "config.yaml").read_bytes()
LINES = DEFAULT.count(b"\n")
# Nine levels of nine references each: 9 ** 9 texts in half a kilobyte.
BOMB = b"a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + b"".join(
    b"%c: &%c [%s]\n" % (i + 1, i + 1, b", ".join([b"*%c" % i] * 9)) for i in range(97, 106)
)


@pytest.fixture
def read(tmp_path):
    def read(content: bytes | str) -> dict[str, int]:
        path = tmp_path / "config.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file.read(path, "config.yaml")

    return read


@pytest.fixture
def refusal(read):
    def refusal(content: bytes | str) -> str:
        with pytest.raises(UserError) as refused:
            read(content)
        message = str(refused.value)
        assert message.count("config.yaml") >= 1 and "\n" not in message
        return message.removeprefix("config.yaml").removeprefix(", ").removeprefix(": ")

    return refusal


def test_the_default_and_all_presets_pass():
    lines = file.read(ROOT / "config.yaml")
    text = DEFAULT.decode().split("\n")
    assert text[lines["tasks.news.labels"] - 1].strip().startswith("labels: [World")
    assert text[lines["experiments.prose-qlora.training"] - 1].strip().startswith("training:")
    presets = list((ROOT / "presets").rglob("*.yaml"))
    assert presets
    for preset in presets:
        assert file.read(preset)


REFUSED = {
    "a double key": ("seeds: [1]\nrun: all\nseeds: [2]", "line 3: the key 'seeds' stands here a"),
    "a double key inside": ("tasks:\n  a: {x: 1,\n   x: 2}", "line 3: the key 'x' stands here a"),
    "a tab": ("run: all\nseeds:\n\t- 1", "cannot be read as YAML: line 3, column 1: found char"),
    "a tab as an indent": ("a:\n\tb: 1", "never with tabs"),
    "a colon in a text": ("report: {title: x}\na: b: c", "needs quotes"),
    "no colon": ("a: 1\nrun all\n\nb: 2", "expected ':'; what it belongs to begins in line 2"),
    "an open brace": ("a: {b: 1,\n  c: 2\nd: 3", "; what it belongs to begins in line 1"),
    "an open quote": ("a: 1\nb: 'x\nc: 2\n", "; what it belongs to begins in line 2"),
    "no-break spaces": ("a:\n  b: 1\n\u00a0 c: 2\n", "line 3: 'c' is indented with no-break spac"),
    "others": ("a:\n  b: 1\n \u00a0c: 2\n  d: 3", "line 3 is indented with no-break spaces; use p"),
    "not UTF-8": (b"run: all\nreport: {title: caf\xe9}", "line 2: byte 0xe9 is not UTF-8"),
    "UTF-16": ("run: all".encode("utf-16"), " is UTF-16"),
    "nothing": ("", " is empty"),
    "blanks": (" \n\n", " is empty"),
    "comments": ("# run: all\n", " is empty"),
    "a list": ("- a\n- b", "line 1: a list; the settings are keys"),
    "a text": ("hello", "line 1: a text; the settings are keys"),
    "two documents": ("run: all\n---\nrun: all", "line 2: a second document begins"),
    "NUL": (b"run: all\n\0", "line 2: the character U+0000 is not allowed"),
    "escape": (b"run: \x1b[31m", "the character U+001B is not allowed"),
    "deep lists": ("run: " + "[" * 100_000, "line 1: nested in more than 50 levels"),
    "deep maps": ("a: " + "{a: " * 60 + "1" + "}" * 60, "nested in more than 50 levels"),
    "deep aliases": (
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 60)),
        "nested in more than 50 levels, aliases followed",
    ),
    "a bomb": (BOMB, "the file stands for more than 200,000 values, aliases followed"),
    "a bomb of mappings": (
        BOMB.replace(b"[", b"{x: [").replace(b"]", b"]}"),
        "the file stands for more than 200,000 values, aliases followed",
    ),
    "itself": ("run: &x [*x]", "line 1: *x stands inside of what it refers to"),
    "no anchor": ("run: *x", "line 1: *x refers to nothing"),
    "a python object": (
        "run: !!python/object/apply:os.system [id]",
        "line 1: the tag tag:yaml.org,2002:python/object/apply:os.system is not used here",
    ),
    "a tag of its own": ("run: !x y", "line 1: the tag !x is not used here"),
    "code": ("run: all\n__use_yte__: true", "line 2: the key '__use_yte__' would make Snakemake"),
    "code in JSON": ('{"__use_yte__": true}', "the key '__use_yte__' would make Snakemake"),
    "other folders": ("pathvars: {results: /etc}", "line 1: the key 'pathvars' would move"),
    "a double key in JSON": ('{"a": {"b": 1, "b": 2}}', "the key 'b' occurs twice"),
    "deep JSON": ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    "no as a name": ("tasks:\n  no: {}", "line 2: YAML reads the key no as true or false; write"),
    "no as a label": ("tasks: {a: {labels: {no: b}}}", "YAML reads the key no as true or false"),
    "null as a name": ("tasks: {~: {}}", "line 1: YAML reads the key ~ as nothing"),
    "a date as a name": ("tasks: {2024-01-01: {}}", "YAML reads the key 2024-01-01 as a date"),
    "a number as a name": ("tasks: {7: {}}", "YAML reads the key 7 as a number; write '7', in"),
    "octal": ("seeds: [010]", "line 1: YAML reads 010 in base 8, as 8; write that instead"),
    "base 60": ("seeds: [1:30]", "line 1: YAML reads 1:30 in base 60; write '1:30', in quotes"),
    "a long number": ("seeds: [" + "9" * 5000 + "]", "line 1: a number of 5000 digits"),
    "no such date": ("run: 2024-99-99", "cannot be read as YAML: month must be in 1..12"),
    "a merge of nothing": ("report:\n  <<: 5", "expected a mapping or list of mappings"),
    "a list as a key": ("? [a]\n: 1", "line 1: a key must be a text"),
    "an alias as a key": ("a: &x b\n*x : 1", "line 2: a key must be a text"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_read_as_something_else_is_refused(name, refusal):
    content, expected = REFUSED[name]
    message = refusal(content)
    assert expected in message
    assert len(message) < 400
    assert printable(message) == message


PASSES = {
    "a byte order mark": b"\xef\xbb\xbf" + DEFAULT,
    "line ends of Windows": DEFAULT.replace(b"\n", b"\r\n"),
    "line ends of old Macs": b"run: all\rseeds: [1]\r",
    "an anchor and a merge": b"a: &x {b: 1}\nc:\n  <<: *x\n  b: 2\n",
    "two merges": b"a: &x {b: 1}\nd: &y {c: 1}\nc:\n  <<: [*x, *y]\n",
    "numbers as labels": b"tasks: {t: {labels: {0: no war, 1: war}}}\n",
    "true, false and fractions as labels": b"tasks: {t: {labels: {false: a, True: b, -0.5: c}}}\n",
    "words that YAML 1.1 reads": b"report: {title: yes}\n",
    "numbers as text": b"experiments: {e: {training: {learning_rate: 1e-4}}}\n",
    "a plain tag": b"report: {title: !!str 5}\n",
    "JSON": b'{"run": "all", "seeds": [1, 2]}',
    "JSON with tabs": b'{\n\t"run": "all"\n}',
    "quoted names": b"tasks: {'7': {}, 'no': {}}\n",
    "one document, marked": b"---\nrun: all\n...\n",
}


@pytest.mark.parametrize("name", PASSES)
def test_what_yaml_may_rightly_hold_passes(name, read):
    read(PASSES[name])


def test_a_thousand_experiments_pass(read):
    block = "  e{0}:\n    <<: *base\n    task: t\n    training: {{epochs: {0}}}\n"
    base = "x: &base {model: m, lora: {rank: 4, alpha: 8, targets: [a, b]}}\nexperiments:\n"
    assert len(read(base + "".join(block.format(i) for i in range(1000)))) > 4000


def test_a_bomb_costs_neither_memory_nor_time(tmp_path):
    (tmp_path / "bomb.yaml").write_bytes(BOMB + b"run: *j\n")

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (400 * 2**20,) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (10, 10))

    done = subprocess.run(
        [sys.executable, "-m", "deltatune.config.file", str(tmp_path / "bomb.yaml")],
        cwd=ROOT / "scripts",
        preexec_fn=limit,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert "stands for more than 200,000 values" in done.stderr


def test_a_large_file_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(file, "LARGEST", 1000)
    (tmp_path / "c.yaml").write_bytes(b"#" * 1001)
    with pytest.raises(UserError, match="is larger than"):
        file.read(tmp_path / "c.yaml")


def test_folders_and_files_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        file.read(tmp_path)
    with pytest.raises(UserError, match=r"there is no c\.yaml in"):
        file.read(tmp_path / "c.yaml", "c.yaml")


def test_a_problem_gets_the_line_of_the_nearest_key():
    lines = {"tasks": 3, "tasks.a.b": 5}
    error = ConfigError(
        [Problem("tasks.a.b.c", "x: y"), Problem("seeds", "z"), Problem("tasks", "w")]
    )
    assert error.message(lines).split("\n") == [
        "config.yaml cannot be used as it is:",
        "  - tasks.a.b.c: x: y (line 5)",
        "  - seeds: z",
        "  - tasks: w (line 3)",
    ]
    assert str(error) == error.message() and "(line" not in str(error)


def test_what_steers_a_terminal_is_not_printed():
    assert printable("a\x1b[31m\r\0\u202e\ud800\tb\n") == "a�[31m����\tb\n"

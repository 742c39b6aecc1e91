"""The field's terms, and no others: what a person would search for.

Phrases are looked for in every text of the project, identifiers in the syntax trees as whole words.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT

#: The sample texts are data, printed figures are as they were printed, and here stands all of it.
EXCEPT = ("data/sample/", "benchmarks/printed/", "LICENSE", "tests/unit/test_words.py")

#: Pattern -> what to write instead.
PHRASES = {
    r"the way (forth|back)": "forward pass, backward pass",
    r"(is|are|base|hold|held) in shares|shared out": "sharded",
    r"put together": "all-gathered, joined, built",
    r"thousand million": "billion",
    r"nats? a token": "nats per token",
    r"tokens? a second": "tokens per second",
    r"what a system believes|says? and believes?": "log-likelihood",
    r"(cannot|can|to) be had": "is not available",
    r"reckon(s|ed|ing|ings)?": "estimate, estimating",
    r"glimpses?": "excerpt",
    r"owed": "pending",
    r"learnt": "trained on, loss mask",
    r"passing_bytes|PaddedRows": "backward peak, PaddedDataset",
}

#: Identifier -> what to name instead.
IDENTIFIERS = {
    **dict.fromkeys(("told", "found", "said", "held"), "what it holds: message, result, rows, ..."),
    **dict.fromkeys(("owed", "due"), "pending evaluation, evaluation_steps"),
    **dict.fromkeys(("Voice", "outlive", "noted"), "MessageQueue, watchdog, signal handler"),
    **dict.fromkeys(("sums", "first", "gathered"), "totals, first_row, ...; all_reduce, broadcast"),
    **dict.fromkeys(("Filled", "Order"), "PaddedDataset, SeededSampler"),
    **dict.fromkeys(("Anatomy", "passing_bytes"), "ModelDimensions, backward peak"),
    "mark": "fingerprint",
    "together": "distributed, world_size",
    "Short": "OutOfMemory",
    "learnt": "loss_mask",
    "adapted": "with_lora",
    "judge": "compute_metrics",
    "reckoning": "estimate",
    "glimpse": "excerpt",
    "elsewhere": "cross_task",
}

#: A batch's plan is micro_batch_size and gradient_accumulation_steps; jobs and reports have others.
BATCH_ROOMS = ("models", "train", "evaluate")


@cache
def texts() -> dict[str, str]:
    """Path in the project -> text of every tracked or new file that is one."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("the project is no checkout of git here")
    files = {}
    for name in filter(None, done.stdout.split("\0")):
        if not name.startswith(EXCEPT) and (ROOT / name).is_file():
            try:
                files[name] = (ROOT / name).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
    return files


def phrases(pattern: str, text: str) -> list[str]:
    """Excerpts around what matches as whole words, over the ends of lines and comments too."""
    line = re.sub(r"\s*\n[\s#>*]*", " ", text)
    matches = re.finditer(rf"(?<![\w-])(?:{pattern})(?![\w-])", line, re.IGNORECASE)
    return [line[max(0, m.start() - 30) : m.end() + 30] for m in matches]


def identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(name, line) of all that a syntax tree names."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.keyword(arg=name):
                yield name or "", line
            case ast.Attribute(value=ast.Name(id="pytest"), attr="mark"):
                pass
            case ast.Attribute(attr=name):
                yield name, line
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, line
            case ast.ClassDef(name=name) | ast.ExceptHandler(name=name) | ast.MatchAs(name=name):
                yield name or "", line
            case ast.alias(name=name, asname=other):
                yield other or name, line
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                yield from ((name, line) for name in names)


def words(name: str, text: str) -> Iterator[tuple[str, int]]:
    """(identifier, line) of a file: a rule file is read by tokens, since it is no Python."""
    if name.endswith(".py"):
        yield from identifiers(ast.parse(text))
        return
    for token in tokenize.generate_tokens(iter(text.splitlines(keepends=True)).__next__):
        if token.type == tokenize.NAME:
            yield token.string, token.start[0]


@cache
def named() -> dict[str, list[str]]:
    """Identifier -> the places where it stands, as path:line."""
    places: dict[str, list[str]] = {}
    for path, text in texts().items():
        if path.endswith((".py", ".smk")) or path == "Snakefile":
            for word, line in words(path, text):
                # A private name of the same sort counts as well.
                places.setdefault(word.strip("_"), []).append(f"{path}:{line}")
    return places


@pytest.mark.parametrize("pattern", PHRASES)
def test_no_phrase_of_the_projects_own_making(pattern):
    seen = [f"{path}: …{e}…" for path, text in texts().items() for e in phrases(pattern, text)]
    assert seen == [], f"write {PHRASES[pattern]!r} instead"


@pytest.mark.parametrize("word", IDENTIFIERS)
def test_no_name_of_the_projects_own_making(word):
    assert named().get(word, []) == [], f"name it after what it holds: {IDENTIFIERS[word]}"


def test_a_batch_is_said_in_sizes_and_steps():
    seen = [
        place
        for place in named().get("plan", [])
        if place.startswith(tuple(f"scripts/deltatune/{room}/" for room in BATCH_ROOMS))
    ]
    assert seen == [], "use micro_batch_size and gradient_accumulation_steps"


def test_the_search_sees_what_it_looks_for():
    assert phrases(PHRASES.__iter__().__next__(), "# on the way\n    # back, gradients") != []
    assert phrases("owed", "borrowed, showed, an owed-list") == []
    source = (
        "import a as told\nfor found in held: pass\ndef judge(first, *, due=1): x.noted = f(mark=1)"
        "\ntry: pass\nexcept E as said: pass\n@pytest.mark.skip\nclass Order: together = 1"
    )
    seen = {word for word, _ in words("x.py", source)}
    assert seen >= set(
        [
            "told",
            "found",
            "held",
            "judge",
            "first",
            "due",
            "noted",
            "mark",
            "said",
            "Order",
            "together",
        ]
    )
    assert "mark" not in {word for word, _ in words("x.py", "@pytest.mark.skip\ndef f(): pass")}
    assert "told" in {word for word, _ in words("a.smk", "rule a:\n    input:\n        told,\n")}


# ---------------------------------------------------------------- what libraries keep to themselves


#: Public and documented, whatever their names: of os, of syntax trees, of named tuples.
DOCUMENTED = {"_exit", "_fields", "_asdict", "_replace", "_make"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and not name.endswith("_")


def defined(tree: ast.AST) -> Iterator[str]:
    """Private names that a module defines: functions, classes, variables, fields, attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name


def private_uses(tree: ast.AST, own: set[str]) -> list[str]:
    """What a module takes of others' private names, `own` being those of the project."""
    seen = []
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name) if name in DOCUMENTED:
                pass
            case ast.Attribute(attr=name) if is_private(name) and name not in own:
                seen.append(f"{ast.unparse(node)}, line {node.lineno}")
            case ast.ImportFrom(module=str(module), names=aliases):
                parts = [*module.split("."), *(alias.name for alias in aliases)]
                if any(is_private(part) and part not in own for part in parts):
                    seen.append(f"{ast.unparse(node)}, line {node.lineno}")
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr" | "hasattr" | "delattr"),
                args=[_, ast.Constant(value=str(name)), *_],
            ) if is_private(name) and name not in own:
                seen.append(f"{ast.unparse(node)}, line {node.lineno}")
    return seen


def patches(tree: ast.AST) -> list[str]:
    """Assignments to attributes of what was imported from outside the project."""
    imported = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                imported |= {a.asname or a.name.split(".")[0]: a.name for a in aliases}
            case ast.ImportFrom(module=str(module), names=aliases):
                imported |= {a.asname or a.name: module for a in aliases}
    outside = {name for name, module in imported.items() if module.split(".")[0] != "deltatune"}
    seen = []
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(ctx=ast.Store() | ast.Del()):
                target: ast.AST = node
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[target, *_]):
                pass
            case _:
                continue
        root = target
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Name) and root.id in outside:
            seen.append(f"{ast.unparse(target)}, line {node.lineno}")
    return seen


#: Settings that libraries ask to be assigned.
SETTINGS = re.compile(
    r"(torch\.backends|torch\.utils\.deterministic|pandas\.options|pd\.options)\."
)


@cache
def trees() -> dict[str, ast.AST]:
    return {
        file.relative_to(ROOT).as_posix(): ast.parse(file.read_text(encoding="utf-8"))
        for file in sorted((ROOT / "scripts").rglob("*.py"))
    }


def outside_upstream() -> dict[str, ast.AST]:
    return {path: tree for path, tree in trees().items() if Path(path).name != "upstream.py"}


def test_private_names_of_libraries_stand_in_upstream_alone():
    own = {name for tree in trees().values() for name in defined(tree)}
    seen = [
        f"{path}: {use}" for path, t in outside_upstream().items() for use in private_uses(t, own)
    ]
    assert seen == [], "put it into upstream.py of the package, with its issue and version"


def test_libraries_are_patched_in_upstream_alone():
    seen = [
        f"{path}: {patch}"
        for path, tree in outside_upstream().items()
        for patch in patches(tree)
        if not SETTINGS.match(patch)
    ]
    assert seen == [], "put it into upstream.py of the package, with its issue and version"


@pytest.mark.parametrize(
    "source",
    [
        "model._hf_hook", "from torch._C import x", "from torch import _C", "a.b._c.d()",
        "getattr(model, '_init')",
    ],
)  # fmt: skip
def test_a_private_name_is_seen(source):
    assert len(private_uses(ast.parse(source), set())) == 1
    assert (
        private_uses(ast.parse("self._a, cls._b, os._exit(1), x.__dict__, x._own"), {"_own"}) == []
    )


@pytest.mark.parametrize(
    "source",
    [
        "import transformers\ntransformers.a.b = 1",
        "from peft import tuners as t\nt.f = None",
        "from peft.x import C\nsetattr(C.method, 'y', 1)",
        "def f():\n    import torch\n    del torch.x",
    ],
)
def test_a_patch_is_seen(source):
    assert len(patches(ast.parse(source))) == 1
    assert patches(ast.parse("from deltatune.core import stage\nstage.x = 1\ny.z = 2")) == []

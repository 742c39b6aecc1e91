"""The floor plan of the library: packages in the order of the data, nothing imported upwards.

Read from the syntax trees, so imports inside functions and under TYPE_CHECKING count as well.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from conftest import ROOT
from deltatune.core.version import __version__
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SCRIPTS = ROOT / "scripts"
LIBRARY = SCRIPTS / "deltatune"

#: Each package imports from those before it, and from itself.
ORDER = [
    "core", "data", "fetch", "tokens", "metrics", "models", "tasks", "compare", "train",
    "evaluate", "report", "config", "recipes", "plan", "preview", "workflow", "forking",
    "progress", "archive", "ask",
]  # fmt: skip


def module_name(file: Path, scripts: Path) -> str:
    """`deltatune.core.paths` of the file core/paths.py."""
    return ".".join(file.relative_to(scripts).with_suffix("").parts)


def imported_names(file: Path) -> set[str]:
    """All that a file imports, anywhere in it: `a.b` and, of `from a.b import c`, `a.b.c` too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names.update(f"{module}.{alias.name}" for alias in node.names)
            names.add(module)
    return names


def graph(scripts: Path) -> dict[str, set[str]]:
    """Module of the library -> the modules of the library that it imports; packages are empty."""
    files = {module_name(f, scripts): f for f in (scripts / "deltatune").rglob("[!_]*.py")}
    return {name: imported_names(file) & files.keys() for name, file in files.items()}


def package_of(module: str) -> str:
    """`core` of `deltatune.core.paths`."""
    return module.split(".")[1]


def faults(scripts: Path) -> Iterator[str]:
    """What breaks the floor plan, one message each."""
    library = scripts / "deltatune"
    for file in sorted(library.rglob("*.py")):
        place = file.relative_to(library).as_posix()
        if file.name == "__init__.py":
            if file.read_text(encoding="utf-8").strip():
                yield f"{place} is not empty: import from the module that defines a name"
        elif file.parent == library:
            yield f"{place} lies in no package: give it one of {', '.join(ORDER)}"
        elif file.relative_to(library).parts[0] not in ORDER:
            yield f"{place} lies in a package that the floor plan does not name"
        elif not (file.parent / "__init__.py").is_file():
            yield f"{place} lies in a folder without __init__.py"
        if any(name.startswith(".") for name in imported_names(file)):
            yield f"{place} imports relatively, which the digest of the code does not see"
    imports = graph(scripts)
    for module, others in sorted(imports.items()):
        for other in sorted(others):
            above, below = package_of(module), package_of(other)
            if {above, below} <= set(ORDER) and ORDER.index(below) > ORDER.index(above):
                yield f"{module} imports {other}, which is further up"
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        yield "imports in a circle: " + " -> ".join(reversed(error.args[1]))


def test_nothing_is_imported_upwards_and_nothing_in_a_circle():
    assert list(faults(SCRIPTS)) == []
    assert {file.parent.name for file in LIBRARY.glob("*/__init__.py")} == set(ORDER)


def test_the_imports_are_seen():
    imports = graph(SCRIPTS)
    assert sum(map(len, imports.values())) > 150
    assert all("deltatune.core.stage" not in others for others in imports.values())


def plant(scripts: Path, files: dict[str, str]) -> None:
    for place, text in files.items():
        file = scripts / "deltatune" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        for folder in (file.parent, *file.parent.parents):
            if folder == scripts:
                break
            if not (folder / "__init__.py").exists():
                (folder / "__init__.py").touch()


PLANTED: dict[str, tuple[dict[str, str], str]] = {
    "upwards": (
        {"core/a.py": "from deltatune.data.b import x", "data/b.py": "x = 1"},
        r"deltatune\.core\.a imports deltatune\.data\.b",
    ),
    "upwards in a function": (
        {"core/a.py": "def f():\n    import deltatune.ask.b", "ask/b.py": ""},
        r"deltatune\.core\.a imports deltatune\.ask\.b",
    ),
    "upwards for types": (
        {
            "train/a.py": "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from deltatune.report import b",
            "report/b.py": "",
        },
        r"deltatune\.train\.a imports deltatune\.report\.b",
    ),
    "a circle in a package": (
        {
            "data/a.py": "from deltatune.data.b import x",
            "data/b.py": "def f():\n    from deltatune.data import a",
        },
        r"in a circle: deltatune\.data\.\w -> deltatune\.data\.\w -> deltatune\.data\.\w$",
    ),
    "a facade": (
        {"data/a.py": "x = 1", "data/__init__.py": "from deltatune.data.a import x"},
        "data/__init__.py is not empty",
    ),
    "outside of packages": ({"a.py": ""}, "a.py lies in no package"),
    "an unknown package": ({"utils/a.py": ""}, "utils/a.py lies in a package that"),
    "a relative import": (
        {"data/a.py": "from .b import x", "data/b.py": "x = 1"},
        "data/a.py imports relatively",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_seen(tmp_path, name):
    files, message = PLANTED[name]
    sound = {"core/x.py": "y = 1", "data/x.py": "from deltatune.core.x import y"}
    plant(tmp_path, sound)
    assert list(faults(tmp_path)) == []
    plant(tmp_path, files)
    (seen,) = faults(tmp_path)
    assert re.search(message, seen)


def test_a_folder_without_init_is_seen(tmp_path):
    plant(tmp_path, {"core/a.py": ""})
    (tmp_path / "deltatune" / "core" / "__init__.py").unlink()
    assert list(faults(tmp_path)) == ["core/a.py lies in a folder without __init__.py"]


# ---------------------------------------------------------------- the map


def listed_modules(text: str) -> list[str]:
    """The modules that a map lists, package by package, in columns that two spaces part."""
    modules, package = [], ""
    for line in text.split("```")[1].strip().splitlines():
        cells = re.split(r"\s{2,}", line.strip())
        if not line.startswith(" "):
            package = cells[0]
        else:
            modules += [package + name for name in cells[::2]]
    return modules


def test_the_map_lists_each_module_once():
    modules = [
        file.relative_to(LIBRARY).with_suffix("").as_posix() for file in LIBRARY.rglob("[!_]*.py")
    ]
    text = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    assert sorted(listed_modules(text)) == sorted(modules), "edit docs/map.md"
    packages = re.findall(r"^(\w+)/ ", text, re.MULTILINE)
    assert packages == ORDER


def test_what_the_map_names_exists():
    text = (ROOT / "docs" / "map.md").read_text(encoding="utf-8").split("## The library")[0]
    for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)+)`", text):
        assert (LIBRARY / f"{name}.py").is_file(), name
    rules = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "rules").glob("*.smk"))
    for name in re.findall(r"`((?:fetch|split|train|score|compute|join)_[a-z]+)`", text):
        assert re.search(rf"^(?:use rule \w+ as|rule) {name}\b", rules, re.MULTILINE), name


# ---------------------------------------------------------------- one home for each helper


def calls(name: str) -> Callable[[ast.AST], bool]:
    """Whether a node is a call of NAME, by itself or as an attribute."""

    def test(node: ast.AST) -> bool:
        if not isinstance(node, ast.Call):
            return False
        return getattr(node.func, "attr", getattr(node.func, "id", None)) == name

    return test


def climbs_from_itself(node: ast.AST) -> bool:
    """Whether a node is `Path(__file__)....parents[N]`."""
    return (
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "parents"
        and any(isinstance(part, ast.Name) and part.id == "__file__" for part in ast.walk(node))
    )


#: What is done -> (how it is recognized, the one module that does it).
HOMES = {
    "finding the project's folder": (climbs_from_itself, "core/paths.py"),
    "hashing a file": (calls("file_digest"), "core/hashing.py"),
    "finding near matches": (calls("get_close_matches"), "core/text.py"),
}


def homes(matches: Callable[[ast.AST], bool], library: Path) -> list[str]:
    return sorted(
        file.relative_to(library).as_posix()
        for file in library.rglob("*.py")
        if any(map(matches, ast.walk(ast.parse(file.read_text(encoding="utf-8")))))
    )


@pytest.mark.parametrize("what", HOMES)
def test_a_helper_has_one_home(what):
    matches, home = HOMES[what]
    seen = homes(matches, LIBRARY)
    assert seen == [home], f"{what}: import it from {home}"


def test_a_second_home_is_seen(tmp_path):
    text = "import difflib\ndifflib.get_close_matches('a', ['b'])"
    plant(
        tmp_path,
        {"core/a.py": text, "data/b.py": text, "data/c.py": "x = Path(__file__).parents[1]"},
    )
    assert homes(calls("get_close_matches"), tmp_path / "deltatune") == ["core/a.py", "data/b.py"]
    assert homes(climbs_from_itself, tmp_path / "deltatune") == ["data/c.py"]


# ---------------------------------------------------------------- what is declared


def test_the_version_is_that_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in citation


#: Requirements of a feature or a benchmark: in the library what is imported of these is imported in
#: functions alone.
FEATURES = {
    "gradio": "requirements-web.txt",
    "gptqmodel": "requirements-gptq.txt",
    "vllm": "requirements-vllm.txt",
    "lm_eval": "requirements-lm-eval.txt",
    "trl": "benchmarks/peers/trl.txt",
    "unsloth": "benchmarks/peers/unsloth.txt",
}


@cache
def declared(file: str) -> frozenset[str]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return frozenset(
        canonicalize_name(Requirement(line).name) for line in lines if re.match(r"[A-Za-z]", line)
    )


def third_parties(folder: Path, own: set[str]) -> dict[str, str]:
    """Top-level package -> a file that imports it; without Python's, and the project's `own`."""
    return {
        name.split(".")[0]: file.relative_to(folder).as_posix()
        for file in sorted(folder.rglob("*.py"))
        for name in imported_names(file)
        if name.split(".")[0] not in {*sys.stdlib_module_names, *own, ""}
    }


def undeclared(packages: dict[str, str], files: list[str]) -> list[str]:
    distributions = packages_distributions()
    return [
        f"{package}, imported in {file}"
        for package, file in packages.items()
        if not {canonicalize_name(d) for d in distributions.get(package, [package])}
        & frozenset().union(*map(declared, [FEATURES.get(package, files[0]), *files[1:]]))
    ]


def test_all_that_the_scripts_import_is_declared():
    packages = third_parties(SCRIPTS, {"deltatune"})
    assert len(packages) > 20
    assert undeclared(packages, ["requirements.txt"]) == []


def test_all_that_the_tests_import_is_declared():
    own = {
        file.stem for folder in ("tests", "benchmarks") for file in ROOT.glob(f"{folder}/**/*.py")
    }
    packages = third_parties(ROOT / "tests", {"deltatune", *own})
    packages |= third_parties(ROOT / "benchmarks", {"deltatune", *own})
    assert undeclared(packages, ["requirements.txt", "requirements-test.txt"]) == []


def test_an_undeclared_package_is_seen():
    packages = {"yaml": "a.py", "tensorflow": "b.py", "gradio": "c.py"}
    assert undeclared(packages, ["requirements.txt"]) == ["tensorflow, imported in b.py"]

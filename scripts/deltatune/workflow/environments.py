"""Every package of the conda environments with its version, written from what is installed.

An env file in envs/ names first what its rules' scripts need, by hand, and below the line `REST`
what those need in turn. `python -m deltatune.workflow.environments` in scripts/ rewrites that
second part and all versions, which are those of constraints.txt; a test fails when a file is old.
The same packages give the same bytes: any other byte would run again what uses the environment.

What is needed is read from the installed packages, for CPython 3.11 on Linux x86-64. For
envs/gptq.yaml the packages of requirements-gptq.txt must be there too: `make test` puts them into
.venv/gptq, where they are looked for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deltatune.core.errors import UserError
from deltatune.core.paths import ROOT
from deltatune.workflow import upstream

REST = "      # What these need: python -m deltatune.workflow.environments"
PIN = re.compile(r"^(\s+- )([A-Za-z0-9_.-]+)==(\S+)$")

#: Whatever machine this runs on, the files are for this one.
PLATFORM = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.7",
    "python_version": "3.11",
    "sys_platform": "linux",
}


def constraints(root: Path = ROOT) -> dict[str, str]:
    """Canonical name -> version, from constraints.txt."""
    versions = {}
    for line in (root / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            requirement = Requirement(line)
            version = str(requirement.specifier).removeprefix("==")
            versions[canonicalize_name(requirement.name)] = version
    return versions


def installed(root: Path = ROOT) -> dict[str, Distribution]:
    """Canonical name -> what is installed here, or among GPTQ's packages beside it."""
    packages: dict[str, Distribution] = {}
    for package in distributions(path=[*sys.path, str(root / ".venv" / "gptq")]):
        packages.setdefault(canonicalize_name(package.metadata["Name"]), package)
    return packages


def requirements(
    package: Distribution, extras: Iterable[str] = ()
) -> Iterator[tuple[str, Requirement]]:
    """(canonical name, requirement) of what a package asks for on `PLATFORM`."""
    for text in package.requires or []:
        requirement = Requirement(text)
        applies = requirement.marker is None or any(
            requirement.marker.evaluate({**default_environment(), **PLATFORM, "extra": extra})
            for extra in ("", *extras)
        )
        name = canonicalize_name(requirement.name)
        if applies and not upstream.CUDA_PACKAGES.match(name):
            yield name, requirement


def closure(direct: Iterable[str], there: Mapping[str, Distribution]) -> set[str]:
    """Canonical names of all that pip installs for some packages, themselves included.

    Raises UserError for a package that is not installed, so that nothing is known of it.
    """
    todo = [(canonicalize_name(name), frozenset[str]()) for name in direct]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        name, extras = pair = todo.pop()
        if pair in seen:
            continue
        seen.add(pair)
        if name in upstream.BUILD_TOOLS and name not in there:
            continue
        if name not in there:
            raise UserError(
                f"envs/: {name} is not installed here, so what it needs is not known. Install the "
                "requirements with `make test`, or take the package out of the file."
            )
        todo += [(n, frozenset(r.extras)) for n, r in requirements(there[name], extras)]
    return {name for name, _ in seen}


def split(text: str) -> tuple[str, list[str]]:
    """(an env file down to what its scripts need, the names of those packages)."""
    head = text.split(f"{REST}\n")[0].rstrip("\n") + "\n"
    return head, [pin[2] for line in head.splitlines() if (pin := PIN.match(line))]


def listed(text: str) -> tuple[list[str], dict[str, str]]:
    """(the names that its scripts need, canonical name -> version of all) of an env file."""
    pins = [pin for line in text.splitlines() if (pin := PIN.match(line))]
    return split(text)[1], {canonicalize_name(pin[2]): pin[3] for pin in pins}


def page(
    text: str, name: str, versions: Mapping[str, str], there: Mapping[str, Distribution]
) -> str:
    """An env file with its second part and all versions as they ought to be.

    text: the file as it is; name: its stem. Raises UserError for a package that constraints.txt
    does not list.
    """
    versions = {**versions, **upstream.OTHER_VERSIONS.get(name, {})}
    head, direct = split(text)
    rest = closure(direct, there) - {canonicalize_name(one) for one in direct}

    def pinned(package: str) -> str:
        canonical = canonicalize_name(package)
        if canonical not in versions:
            raise UserError(
                f"constraints.txt has no version of {package}, which envs/{name}.yaml needs; add "
                f"{package}=={there[canonical].version}."
            )
        return f"{package}=={versions[canonical]}"

    lines = [
        f"{pin[1]}{pinned(pin[2])}" if (pin := PIN.match(line)) else line
        for line in head.splitlines()
    ]
    lines += [REST, *(f"      - {pinned(one)}" for one in sorted(rest))]
    return "\n".join(lines) + "\n"


def write(root: Path = ROOT) -> None:
    versions, there = constraints(root), installed(root)
    for file in sorted((root / "envs").glob("*.yaml")):
        text = file.read_text(encoding="utf-8")
        new = page(text, file.stem, versions, there)
        if new != text:
            file.write_text(new, encoding="utf-8")
            print(f"envs/{file.name} written")


if __name__ == "__main__":
    try:
        write()
    except UserError as error:
        sys.exit(f"deltatune: {error}")

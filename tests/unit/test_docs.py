"""What the documents name exists: paths, modules, rules, results, commands and links."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import ROOT
from deltatune.config.docs import page as settings_page
from deltatune.recipes.importing import PROGRAMS

LIBRARY = ROOT / "scripts/deltatune"
#: Documents, but for CHANGELOG.md, which names what is gone; and files whose comments name others.
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / folder / "README.md" for folder in ("results", "data/sample", "benchmarks")),
    ]
)
FILES = sorted(
    [
        *PAGES,
        *(ROOT / name for name in ("config.yaml", "Makefile", "Snakefile")),
        *(ROOT / "presets").glob("*.yaml"),
        *(ROOT / "profiles").glob("*/config.yaml"),
        *(ROOT / "envs").glob("*.yaml"),
        *(ROOT / "rules").glob("*.smk"),
        *(ROOT / "benchmarks").glob("*.py"),
    ]
)

FOLDERS = [
    *("benchmarks", "data/sample", "docs", "envs", "presets", "profiles", "report", "rules"),
    *("scripts", "tests"),
]
PATH = re.compile(
    rf"(?<![\w./$-])(?:(?:{'|'.join(FOLDERS)})/[\w./*-]*|requirements[\w-]*\.txt"
    rf"|\w[\w/-]*\.(?:py|smk|j2|rst)\b)"
)
RESULT = re.compile(r"(?<![\w./-])results/[\w./*-]*")
MODULE = re.compile(r"(?<![\w./])deltatune(?:\.\w+)+")
RUN_MODULE = re.compile(r"python -m (deltatune[\w.]+)")
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```\w*\n(.*?)^```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
#: Parts of a path that stand for any name: EXPERIMENT, seed-N, OWNER--NAME, verb_noun.
PLACEHOLDER = re.compile(r"(?<![A-Za-z])[A-Z]+(?![a-z])|verb_noun")
#: Options of snakemake that take a value, as far as the documents use them.
WITH_VALUE = {
    "--config",
    "--cores",
    "--configfile",
    "-s",
    "--directory",
    "--snakefile",
    "--workflow-profile",
    "--report",
    "--jobs",
    "--resources",
    "--retries",
}
#: Those of them that take every word up to the next option.
TAKES_ALL = {"--config", "--configfile", "--resources"}

RULES = {
    name
    for path in (ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk"))
    for name in re.findall(
        r"^(?:use rule \w+ as|rule) (\w+)", path.read_text("utf-8"), re.MULTILINE
    )
}
RULE = re.compile(rf"(?:{'|'.join(sorted({name.split('_')[0] for name in RULES}))})_[a-z*]+")
SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for path in [*(ROOT / "rules").glob("*.smk"), *(ROOT / "scripts").rglob("*.py")]
)


def missing_paths(text: str, beside: Path) -> list[str]:
    """Paths of the project in a text that do not exist. beside: the folder of the text."""
    absent = []
    for path in PATH.findall(text):
        pattern = PLACEHOLDER.sub("*", path.rstrip(".")) if "README" not in path else path
        starts = (ROOT, beside, LIBRARY) if "/" in path else (ROOT, beside)
        exists = any(any(start.glob(pattern)) for start in starts)
        by_name = "/" not in path and any(_files_called(pattern))
        if not exists and not by_name:
            absent.append(path)
    return absent


def _files_called(name: str) -> Iterator[Path]:
    """Files of the project with a name, wherever they are."""
    for folder in FOLDERS:
        yield from (ROOT / folder).rglob(name)


def missing_results(text: str) -> list[str]:
    """Paths under results/ that no rule and no module writes."""
    absent = []
    for path in RESULT.findall(text):
        parts = path.rstrip("./").split("/")[1:]
        # Between the first folder and the file are names that the user chooses.
        named = parts[:1] + [
            part for part in parts[1:][-1:] if re.fullmatch(r"[a-z]\w*\.\w+", part)
        ]
        if not all(part == "README.md" or re.search(rf"[/\"]{part}\b", SOURCES) for part in named):
            absent.append(path)
    return absent


def missing_modules(text: str) -> list[str]:
    """Dotted names of the library that are neither a module nor a name in one."""
    absent = []
    for name in MODULE.findall(text):
        parts = name.split(".")[1:]
        path = LIBRARY
        while parts and (path / parts[0]).is_dir():
            path = path / parts.pop(0)
        if parts and (path / f"{parts[0]}.py").is_file():
            source = (path / f"{parts.pop(0)}.py").read_text(encoding="utf-8")
            parts = [
                part
                for part in parts
                if not re.search(rf"^(?:(?:class|def) )?{part}\b", source, re.MULTILINE)
            ]
        if parts:
            absent.append(name)
    return absent


def code(text: str) -> list[str]:
    """Lines of code blocks and code spans of Markdown."""
    return [
        line
        for block, span in CODE.findall(text)
        for line in (block.replace("\\\n", " ").splitlines() if block else [span])
    ]


def bad_commands(lines: list[str], targets: set[str]) -> list[str]:
    """Lines that call make or snakemake with a target that does not exist."""
    bad = []
    for line in lines:
        for command in re.split(r"&&|\||;", line):
            words = shlex.split(command, comments=True, posix=True) if _quoted(command) else []
            name = words[0].rpartition("/")[2] if words else ""
            if name == "make":
                known = [word in targets for word in words[1:] if "=" not in word]
            elif name == "snakemake":
                known = [
                    # A rule, or as docs/module.md imports it.
                    (word.removeprefix("deltatune_") in RULES or word.startswith("results/"))
                    and not swallowed
                    for before, word, swallowed in _arguments(words)
                    if not word.startswith(("-", "$")) and word != "..."
                    if before not in WITH_VALUE
                ]
            else:
                continue
            if not all(known):
                bad.append(command.strip())
    return bad


def _arguments(words: list[str]) -> Iterator[tuple[str, str, bool]]:
    """(the word before, a word, whether an option that takes all words after it takes it)."""
    option = ""
    for before, word in pairwise(words):
        option = word if word.startswith("-") else option
        yield before, word, option in TAKES_ALL


def _quoted(command: str) -> bool:
    """Whether the quotes of a command are closed."""
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return True


def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([\w$()/.-]+):(?!=)", text, re.MULTILINE)
    return {target.replace("$(VENV)", ".venv") for target in targets}


def anchors(text: str) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def bad_links(text: str, page: Path) -> list[str]:
    bad = []
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = page.parent / target if target else page
        if not path.exists() or (anchor and anchor not in anchors(path.read_text("utf-8"))):
            bad.append(link)
    return bad


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_paths_and_modules_exist(file):
    text = file.read_text(encoding="utf-8")
    assert missing_paths(text, file.parent) == []
    assert missing_modules(text) == []
    for module in RUN_MODULE.findall(text):
        source = (ROOT / "scripts" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert '__name__ == "__main__"' in source, module


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_rules_results_commands_and_links_exist(page):
    text = page.read_text(encoding="utf-8")
    lines = code(text)
    names = {name for line in lines for name in RULE.findall(line) if RULE.fullmatch(line)}
    foreign = {name for program in PROGRAMS for name in program.fields}
    assert {name for name in names - foreign if not fnmatch.filter(RULES, name)} == set()
    assert missing_results(text) == []
    assert bad_commands(lines, make_targets()) == []
    assert bad_links(text, page) == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_settings_exist(page):
    """Those named with their section, such as `training.gpus`."""
    known = settings_page()
    sections = set(re.findall(r"`(\w+)\.\w+`", known))
    for line in code(page.read_text(encoding="utf-8")):
        key = re.fullmatch(r"(\w+)\.(?!html$)\w+", line)
        if key and key[1] in sections:
            assert f"`{line}`" in known, line


@pytest.mark.parametrize(
    ("text", "absent"),
    [
        ("see docs/nowhere.md", ["docs/nowhere.md"]),
        ("`scripts/deltatune/models/nothing.py`", ["scripts/deltatune/models/nothing.py"]),
        ("`presets/other-*.yaml`", ["presets/other-*.yaml"]),
        ("`core/nothing.py`, `nothing.smk`", ["core/nothing.py", "nothing.smk"]),
        ("requirements-nothing.txt", ["requirements-nothing.txt"]),
        ("docs/method.md. `core/stage.py`, `presets/NAME.yaml`, requirements.txt", []),
    ],
)
def test_a_path_that_does_not_exist_is_found(text, absent):
    assert missing_paths(text, ROOT / "docs") == absent


def test_a_module_that_does_not_exist_is_found():
    assert missing_modules("`deltatune.config.docs`, deltatune.metrics.base.MeanMetric") == []
    for name in ("deltatune.nothing", "deltatune.config.nothing", "deltatune.config.docs.nothing"):
        assert missing_modules(f"see {name}.") == [name]


def test_a_result_that_nothing_writes_is_found():
    assert missing_results("results/merged/EXPERIMENT/seed-N/model/, results/plan.csv.") == []
    assert missing_results("results/nowhere/x.csv") == ["results/nowhere/x.csv"]
    assert missing_results("results/tasks/TASK/nothing.csv") == ["results/tasks/TASK/nothing.csv"]


@pytest.mark.parametrize(
    ("command", "ok"),
    [
        ("make demo", True),
        ("make nothing", False),
        (".venv/bin/snakemake --cores 1 plan --configfile x.yaml   # a comment", True),
        ("snakemake --configfile x.yaml plan", False),
        ("snakemake --configfile x.yaml -- plan", True),
        ("unzip x && snakemake --cores 1 nothing", False),
        ("snakemake -n results/verdict.txt", True),
    ],
)
def test_a_target_that_does_not_exist_is_found(command, ok):
    assert (bad_commands([command], make_targets()) == []) is ok


def test_a_link_that_leads_nowhere_is_found():
    page = ROOT / "docs" / "method.md"
    text = "[a](plan.md#memory) [b](nothing.md) [c](plan.md#nothing) [d](https://example.org/x)"
    assert bad_links(text, page) == ["nothing.md", "plan.md#nothing"]

"""Nothing that stands in a config, a record or a model is ever run: read from the source itself."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from conftest import ROOT

SCRIPTS = sorted((ROOT / "scripts").rglob("*.py"))
RULES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]

# What runs text or unpacks objects, and where it is allowed with what it is given.
FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "os.execvp",
    "os.spawnv", "os.spawnl", "pickle.load", "pickle.loads", "dill.load", "dill.loads",
    "joblib.load", "marshal.load", "marshal.loads", "shelve.open", "pandas.read_pickle",
    "pd.read_pickle", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "subprocess.getoutput",
    "subprocess.getstatusoutput", "jinja2.Template", "tempfile.mktemp", "shell",
}  # fmt: skip

#: What gives a safe loader under another name; a test below looks at what it gives.
SAFE_LOADERS = {"upstream.strict_loader(text)"}


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """(dotted name, call) of every call in a file; names imported from a module in full."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    full = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            full |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            full |= {a.asname: a.name for a in node.names if a.asname}
    seen = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            head, dot, rest = name.partition(".")
            seen.append((full.get(head, head) + dot + rest, node))
    return seen


def keywords(call: ast.Call) -> dict[str, str]:
    return {k.arg: ast.unparse(k.value) for k in call.keywords if k.arg}


def faults(path: Path) -> list[str]:
    problems = []
    for name, call in calls(path):
        given = keywords(call)
        if name in FORBIDDEN:
            problems.append(name)
        if name.startswith("subprocess.") and (
            given.get("shell", "False") != "False" or isinstance(call.args[0], ast.JoinedStr)
        ):
            problems.append(f"{name} through a shell")
        if name == "torch.load" and given.get("weights_only") != "True":
            problems.append("torch.load without weights_only")
        if name == "numpy.load" and given.get("allow_pickle", "False") != "False":
            problems.append("numpy.load with pickles")
        loader = given.get("Loader", "")
        if name == "yaml.load" and "SafeLoader" not in loader and loader not in SAFE_LOADERS:
            problems.append("yaml.load without a safe loader")
        if given.get("trust_remote_code", "False") != "False":
            problems.append("trust_remote_code")
        if given.get("use_safetensors", "True") != "True":
            problems.append("weights other than safetensors")
        if name == "jinja2.Environment" and "autoescape" not in given:
            problems.append("a template that does not escape")
        if name.endswith("AutoModelForCausalLM.from_pretrained") and (
            given.get("use_safetensors"),
            given.get("trust_remote_code"),
        ) != ("True", "False"):
            problems.append("a model loaded without saying that only safetensors are taken")
    return problems


#: A forked job is the file that the interpreter would have run.
RUNS_A_FILE = {"scripts/deltatune/forking/upstream.py": ["exec", "compile"]}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_runs_no_text(path):
    assert faults(path) == RUNS_A_FILE.get(str(path.relative_to(ROOT)), [])


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_a_rule_calls_a_script_and_never_a_shell(path):
    text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
    # What every script is started with is one text without a field in it.
    text = text.replace("shell.prefix(forked_jobs.PREFIX)", "")
    assert not re.search(r"^\s*(shell|run|notebook|cwl|wrapper)\s*:", text, re.MULTILINE)
    assert not re.search(r"\b(shell|eval|exec|os\.system|subprocess)\b\s*[.(]", text)


def test_what_every_script_is_started_with_has_no_field():
    from deltatune.forking.forked_jobs import PREFIX

    assert not set(PREFIX) & set("{}$`")


def test_modules_found_by_name_are_among_the_files_that_are_there():
    """A kind of task or a metric is imported by a name of the config: no other module can be."""
    from deltatune.config.load import load_settings
    from deltatune.core.errors import UserError
    from deltatune.metrics.registry import load_metric
    from deltatune.tasks.registry import available_kinds

    for name in ("os", "../os", "..settings", "classify.os", "__init__", "os.path"):
        assert name not in available_kinds()
        with pytest.raises(UserError, match="no kind of task"):
            load_settings({"tasks": {"t": {"kind": name, "dataset": "d"}}})
        with pytest.raises(UserError):
            load_metric("answers", name)


def test_the_loaders_of_config_yaml_are_safe_ones():
    import yaml
    from deltatune.config import upstream

    for text in ("", " " * 10_000_000):
        loader = upstream.strict_loader(text)
        assert issubclass(loader, yaml.SafeLoader | yaml.CSafeLoader)


SOURCES = {
    "eval(x)": "eval",
    "from os import system\nsystem(x)": "os.system",
    "import pickle as p\np.loads(x)": "pickle.loads",
    "import subprocess\nsubprocess.run(f'ls {x}', shell=True)": "subprocess.run through a shell",
    "import torch\ntorch.load(x)": "torch.load without weights_only",
    "import yaml\nyaml.load(x, Loader=yaml.Loader)": "yaml.load without a safe loader",
    "load(x, trust_remote_code=True)": "trust_remote_code",
    "import jinja2\njinja2.Environment()": "a template that does not escape",
    "import jinja2\njinja2.Template(x)": "jinja2.Template",
    "AutoModelForCausalLM.from_pretrained(x)": "a model loaded without saying that only "
    "safetensors are taken",
}


@pytest.mark.parametrize("source", SOURCES)
def test_the_search_finds_what_it_looks_for(source, tmp_path):
    path = tmp_path / "x.py"
    path.write_text(source)
    assert faults(path) == [SOURCES[source]]

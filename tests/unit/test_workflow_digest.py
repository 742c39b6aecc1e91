import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deltatune.workflow import digest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

COMMANDS = {
    "audit_packages",
    "import_recipe",
    "try_model",
    "print_plan",
    "print_preview",
    "render_partial",
}
"""Scripts for people, which no rule runs, or one that always does."""


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of scripts/ that digests look into."""
    folder = tmp_path / "scripts"
    shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(digest, "LIBRARY", folder / "deltatune")
    yield folder
    forget()


def forget() -> None:
    """Files are read anew, as by another call of snakemake."""
    for cached in (digest.code_digest, digest._file, digest._imports, digest._text):
        cached.cache_clear()


def digests(folder: Path, plugins: tuple[str, ...] = ()) -> dict[str, str]:
    """Script of a rule that depends on it -> digest, read anew."""
    forget()
    scripts = [path for path in sorted(folder.glob("*.py")) if path.stem not in COMMANDS]
    return {path.stem: digest.code_digest(path, plugins) for path in scripts}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")


# Worked out by hand from the imports; an addition here is a stage that runs again more often.
REACH = {
    "train/train.py": {"train_adapter"},
    "models/quantization.py": {"train_adapter", "generate_answers", "score_text", "score_labels"},
    "tokens/packing.py": {"tokenize_split"},
    "tokens/shards.py": {"tokenize_split", "train_adapter"},
    "tokens/writer.py": {"tokenize_split"},
    "tokens/answer_ids.py": {"tokenize_split", "generate_answers", "merge_adapter"},
    "data/splits.py": {"split_dataset"},
    "data/chunking.py": {"chunk_text"},
    "data/readers/read.py": {"fetch_dataset"},
    "fetch/model.py": {"fetch_model"},
    "models/pretrain.py": {"pretrain_model"},
    "evaluate/likelihood.py": {"score_text"},
    "evaluate/label_likelihood.py": {"score_labels"},
    "evaluate/generate.py": {"generate_answers"},
    "evaluate/batches.py": {"generate_answers", "score_text", "score_labels"},
    "evaluate/outputs.py": {"generate_answers", "score_text", "score_labels"},
    "evaluate/scores.py": {"compute_metrics", "fit_answer_baselines", "fit_label_baselines"},
    "compare/statistics.py": {"compare_systems", "compare_baselines"},
    "compare/family.py": {"join_comparisons", "compare_baselines"},
    "evaluate/baselines/answers.py": {"fit_answer_baselines"},
    "evaluate/baselines/labels.py": {"fit_label_baselines"},
    "evaluate/behavior.py": {"compute_metrics", "fit_answer_baselines", "fit_label_baselines"},
    "metrics/settings.py": {
        *("compute_metrics", "fit_answer_baselines", "fit_label_baselines"),
        *("compare_systems", "compare_baselines"),
    },
    "compare/settings.py": {"compare_systems", "join_comparisons", "compare_baselines"},
    "report/page.py": {"render_report"},
    "report/table_page.py": {"render_tables"},
    "report/figures/losses.py": {"plot_losses", "render_report"},
}


@pytest.mark.parametrize("module", REACH)
def test_an_edit_is_seen_by_exactly_the_scripts_that_reach_the_module(copy, module):
    before = digests(copy)
    append(copy / "deltatune" / module, "\nEDITED = 1\n")
    scripts = changed(before, digests(copy))
    assert scripts >= REACH[module]
    unseen = {
        *("train_adapter", "pretrain_model", "split_dataset", "fetch_dataset", "tokenize_split"),
        *("compute_metrics", "fit_answer_baselines", "fit_label_baselines"),
    }
    assert not scripts & (unseen - REACH[module])


def test_nothing_expensive_depends_on_the_settings_or_the_report(copy):
    before = digests(copy)
    for module in ("config/load.py", "config/docs.py", "workflow/params.py", "workflow/digest.py"):
        append(copy / "deltatune" / module, "\nEDITED = 1\n")
    assert changed(before, digests(copy)) == set()
    for file in (copy / "deltatune" / "report").rglob("*.py"):
        append(file, "\nEDITED = 1\n")
    assert changed(before, digests(copy)) == {
        name for name in before if name.startswith(("plot_", "render_"))
    }


def test_the_stage_is_seen_by_all(copy):
    before = digests(copy)
    append(copy / "deltatune" / "core/stage.py", "\nEDITED = 1\n")
    assert changed(before, digests(copy)) == set(before)


def test_a_script_sees_its_own_edit_alone(copy):
    before = digests(copy)
    append(copy / "score_text.py", "\nprint()\n")
    assert changed(before, digests(copy)) == {"score_text"}


def test_comments_docstrings_layout_and_dates_are_not_seen(copy):
    before = digests(copy)
    module = copy / "deltatune" / "train/train.py"
    text = module.read_text(encoding="utf-8")
    assert '"""A LoRA adapter on a frozen' in text
    text = text.replace('"""A LoRA adapter on a frozen', '"""An adapter on a frozen')
    text = text.replace("    Raises UserError where", "    Other words. Raises UserError where")
    text = text.replace("\n\n\ndef ", "\n\n\n# Another comment.\n\ndef ")
    text = text.replace("        model=model,\n", "        model=model,  # a comment\n")
    module.write_text(text + "\n\n\n", encoding="utf-8")
    classes = copy / "deltatune" / "tokens/encoded.py"
    text = classes.read_text(encoding="utf-8")
    assert '"""The id of padding."""' in text
    classes.write_text(text.replace("The id of padding.", "Of padding."), encoding="utf-8")
    for file in copy.rglob("*.py"):
        os.utime(file, (1, 1))
    assert changed(before, digests(copy)) == set()


def test_a_string_that_is_used_is_seen(copy):
    before = digests(copy)
    module = copy / "deltatune" / "tokens/encode.py"
    text = module.read_text(encoding="utf-8")
    assert '== "drop"' in text
    module.write_text(text.replace('== "drop"', '== "refuse"'), encoding="utf-8")
    scripts = changed(before, digests(copy))
    assert "tokenize_split" in scripts
    assert not {"train_adapter", "split_dataset", "pretrain_model", "compare_systems"} & scripts


def test_a_revert_gives_the_first_digest_back(copy):
    before = digests(copy)
    module = copy / "deltatune" / "tokens/encode.py"
    text = module.read_text(encoding="utf-8")
    append(module, "\nEDITED = 1\n")
    assert changed(before, digests(copy))
    module.write_text(text, encoding="utf-8")
    assert digests(copy) == before


def test_the_folder_that_the_project_lies_in_does_not_matter(copy):
    there = digests(copy)
    digest.LIBRARY = SCRIPTS / "deltatune"  # monkeypatch puts it back
    assert digests(SCRIPTS) == there


def test_a_plugin_is_seen_with_what_it_imports(copy):
    plugin = ("deltatune.tasks.classify",)
    before, without = digests(copy, plugin), digests(copy)
    assert before["tokenize_split"] != without["tokenize_split"]
    append(copy / "deltatune" / "tasks" / "classify.py", "\nEDITED = 1\n")
    assert "tokenize_split" in changed(before, digests(copy, plugin))
    assert changed(without, digests(copy)) == set()
    # What only the plugin imports, and the packages that it lies in.
    for module in ("tokens/prompts.py", "tasks/__init__.py", "__init__.py"):
        before = digests(copy, plugin)
        append(copy / "deltatune" / module, "\nEDITED = 1\n")
        assert "compute_metrics" in changed(before, digests(copy, plugin)), module


def test_one_metric_is_not_computed_again_for_another(copy):
    bleu, rouge = ("deltatune.metrics.answers.bleu",), ("deltatune.metrics.answers.rouge_l",)
    before = digests(copy, rouge)
    append(copy / "deltatune" / "metrics" / "answers" / "bleu.py", "\nEDITED = 1\n")
    assert changed(before, digests(copy, rouge)) == set()
    assert digests(copy, bleu)["compute_metrics"] != before["compute_metrics"]


def test_a_plugin_that_is_not_there_is_an_error(copy):
    with pytest.raises(ValueError, match=r"deltatune\.tasks\.clasify"):
        digests(copy, ("deltatune.tasks.clasify",))


def test_the_library_imports_in_ways_that_a_digest_sees():
    """A relative import, or a name made at run time, would go unseen. The two modules that
    look for plugins are known, and their rules name the plugins; the process that jobs are forked
    from loads packages, nothing of the library."""
    for file in SCRIPTS.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            assert not (isinstance(node, ast.ImportFrom) and node.level), file
        if "import_module" in text or "__import__" in text:
            name = file.relative_to(SCRIPTS / "deltatune").as_posix()
            assert name in {"tasks/registry.py", "metrics/registry.py", "forking/fork_server.py"}


# ---------------------------------------------------------------- other versions of Python

ALL = f"""
import hashlib, pathlib, sys
sys.path.insert(0, {str(SCRIPTS)!r})
from deltatune.workflow import digest
files = sorted(pathlib.Path({str(SCRIPTS)!r}).rglob("*.py"))
print(hashlib.sha256("".join(map(digest.code_digest, files)).encode()).hexdigest())
"""


def interpreters() -> list[str]:
    """Other minor versions of CPython on this machine, from 3.11 on: on the path, or pyenv's."""
    pythons = {}
    for minor in range(11, 20):
        if minor == sys.version_info.minor:
            continue
        versions = Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")
        for python in filter(None, [*map(str, versions), shutil.which(f"python3.{minor}")]):
            command = [python, "-c", "import sys; print(sys.version_info.minor)"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.stdout.strip() == str(minor):
                pythons.setdefault(minor, python)
    return list(pythons.values())


def test_other_versions_of_python_give_the_same_digests():
    pythons = interpreters()
    if not pythons:
        pytest.skip("there is no other version of Python here")
    outputs = {
        python: subprocess.run([python, "-c", ALL], capture_output=True, text=True).stdout
        for python in (sys.executable, *pythons)
    }
    assert len(set(outputs.values())) == 1 and outputs[sys.executable].strip(), outputs


def test_empty_fields_of_a_newer_version_are_not_seen(monkeypatch):
    """As 3.12 gave `type_params` to functions and classes, and empty parts to f-strings."""
    text = 'def f(x: int) -> str:\n    return f"{x:>{x}}\u9fff"\n'
    before = digest._parsed.__wrapped__(text)
    for node in (ast.FunctionDef, ast.Return):
        monkeypatch.setattr(node, "_fields", (*node._fields, "news", "none"))
        monkeypatch.setattr(node, "news", [], raising=False)
        monkeypatch.setattr(node, "none", None, raising=False)
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            node.values.append(ast.Constant(value="", kind=None))
    monkeypatch.setattr(ast, "parse", lambda text: tree)
    assert digest._parsed.__wrapped__(text) == before
    tree.body[0].news = [ast.Pass()]
    assert digest._parsed.__wrapped__(text) != before


SAME = {
    "a message": ("raise UserError('a')", "raise UserError('b')"),
    "an f-string": ("raise UserError(f'a {x} b')", "raise UserError(f'c {x}')"),
    "of a module": ("raise errors.UserError('a')", "raise errors.UserError('b')"),
    "joined": ("raise UserError('a' + x + 'b')", "raise UserError('c' + x + 'd')"),
    "filled": ("raise ValueError('a %s' % x)", "raise ValueError('b %s' % x)"),
    "chosen": ("raise UserError('a' if x else 'b')", "raise UserError('c' if x else 'd')"),
    "in place of nothing": ("raise UserError(x or 'a')", "raise UserError(x or 'b')"),
    "a plural": ("say(f'{x} row{\"s\" if x else y}')", "say(f'{x} line{\"es\" if x else y}')"),
    "listed": ("say(', '.join(x))", "say('; '.join(x))"),
    "returned": ("def f(): return UserError('a')", "def f(): return UserError('b')"),
    "on the terminal": ("terminal.say('a')", "terminal.say('b')"),
    "in the log": ("print('a', flush=True)", "print('b', flush=True)"),
    "for types": ("if TYPE_CHECKING:\n  import a\nx", "if TYPE_CHECKING:\n  import b\nx"),
}
COMPUTED = {
    "a value of a message": ("raise UserError(f'a {x}')", "raise UserError(f'a {y}')"),
    "its format": ("raise UserError(f'{x:.1f}')", "raise UserError(f'{x:.2f}')"),
    "an index": ("raise UserError(x['a'])", "raise UserError(x['b'])"),
    "of another call": ("raise UserError(f('a'))", "raise UserError(f('b'))"),
    "of another call, chosen": ("say(f('a') if x else 'b')", "say(f('c') if x else 'b')"),
    "a condition": ("say('a' if x == 'b' else 'c')", "say('a' if x == 'd' else 'c')"),
    "a list": ("say(', '.join(['a']))", "say(', '.join(['b']))"),
    "a number": ("raise UserError(1)", "raise UserError(2)"),
    "bytes": ("raise UserError(b'a')", "raise UserError(b'b')"),
    "whether it is raised": ("raise UserError('a')", "UserError('a')"),
    "the class": ("raise UserError('a')", "raise ValueError('a')"),
    "the cause": ("raise UserError('a') from x", "raise UserError('a') from None"),
    "what may be a code": ("raise Rejected('a')", "raise Rejected('b')"),
    "a named argument": ("progress(x, kind='a')", "progress(x, kind='b')"),
    "into a file": ("print('a', file=x)", "print('b', file=x)"),
    "a number of messages": ("say('a')", "say('a')\nsay('a')"),
    "not for types": ("if not TYPE_CHECKING:\n  x", "if not TYPE_CHECKING:\n  y"),
    "otherwise": ("if TYPE_CHECKING: a\nelse: x", "if TYPE_CHECKING: a\nelse: y"),
}


@pytest.mark.parametrize("what", SAME)
def test_words_of_messages_are_not_seen(what):
    one, other = SAME[what]
    assert digest.tree_hash(one) == digest.tree_hash(other)


@pytest.mark.parametrize("what", COMPUTED)
def test_what_is_computed_beside_the_words_is_seen(what):
    one, other = COMPUTED[what]
    assert digest.tree_hash(one) != digest.tree_hash(other)


def test_an_import_for_types_is_not_followed():
    names, _ = digest._parsed("if TYPE_CHECKING:\n  import deltatune.a\nimport deltatune.b")
    assert names == {"deltatune.b"}


def test_a_message_is_not_seen_by_what_trains(copy):
    before = digests(copy)
    for module, old in {
        "models/quantization.py": "UserError(",
        "train/train.py": "UserError(",
        "tokens/ids.py": "so a model could not be trained",
    }.items():
        file = copy / "deltatune" / module
        text = file.read_text(encoding="utf-8")
        assert old in text
        new = old + '"Other words. "' if old.endswith("(") else "in other words"
        file.write_text(text.replace(old, new), encoding="utf-8")
    assert changed(before, digests(copy)) == set()


@pytest.mark.parametrize("module", digest.OUTSIDE)
def test_of_a_module_outside_the_version_alone_is_seen(copy, monkeypatch, module):
    before = digests(copy)
    append(copy / "deltatune" / module, "\nEDITED = 1\n")
    assert changed(before, digests(copy)) == set()
    monkeypatch.setitem(digest.OUTSIDE, module, digest.Outside(2, "a test"))
    scripts = changed(before, digests(copy))
    file = copy / "deltatune" / module
    assert scripts == {name for name in before if file in digest.reached(copy / f"{name}.py")}
    of_all = {"fetch_dataset", "render_report"} if module.startswith("core/") else set()
    assert {"train_adapter"} | of_all <= scripts


def test_what_a_module_outside_imports_is_seen(copy):
    append(copy / "deltatune" / "core/text.py", "\nimport deltatune.core.version\n")
    before = digests(copy)
    append(copy / "deltatune" / "core/version.py", "\nEDITED = 1\n")
    assert changed(before, digests(copy)) == set(before)


def test_what_is_written_in_another_way_and_means_something_else_is_seen():
    """Leaving out what is empty must not make two programs one."""
    pairs = [
        ("return_ = None", "return_ = 0"),
        ("x[1:]", "x[:1]"),
        ("f(a, *b)", "f(a, b)"),
        ("{None: 1}", "{**None}"),
        ("def f(a, /): pass", "def f(a): pass"),
        ("def f(*, a): pass", "def f(a): pass"),
        ("f'{x}'", "f'{x!r}'"),
        ("x = ''", "x = ' '"),
        ("x = 1", "x = True"),
        ("x = 1", "x = 1.0"),
        ("x = 'a'", "x = b'a'"),
        ("x = -0.0", "x = 0.0"),
        ("if a:\n  b\nc", "if a:\n  b\n  c"),
        ("try: a\nexcept: b", "try: a\nfinally: b"),
        ("lambda: None", "lambda: ..."),
        ("async def f(): pass", "def f(): pass"),
        ("class A(B): pass", "class A(metaclass=B): pass"),
        ("match x:\n  case None: pass", "match x:\n  case True: pass"),
    ]
    for one, other in pairs:
        assert digest._parsed(one)[1] != digest._parsed(other)[1], one

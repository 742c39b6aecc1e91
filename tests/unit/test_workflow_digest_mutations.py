"""Any edit to what a module computes changes its digest; an edit to words alone does not.

Numbers, names, operators, strings and statements all over the library are changed, one at a time.
What may go unseen is defined here once more, in another way than in the digest.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deltatune.workflow import digest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
FILES = sorted(SCRIPTS.rglob("[!_]*.py"))
PER_FILE = 2
#: Operator -> another one.
OTHER = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult},
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq},
    **{ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn},
    **{ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And, ast.Not: ast.USub, ast.USub: ast.UAdd},
    **{ast.FloorDiv: ast.Mod, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr},
    **{ast.BitOr: ast.BitAnd},
}

Mutation = Callable[[], None]


def mutation(node: ast.AST) -> Mutation | None:
    """Changes a node in place; None for a node that is left alone."""
    match node:
        case ast.Constant(value=bool() | None | bytes()):
            return lambda: setattr(node, "value", "another")
        case ast.Constant(value=int() | float() as number):
            return lambda: setattr(node, "value", number + 1)
        case ast.Constant(value=str() as text):
            return lambda: setattr(node, "value", f"{text} more")
        case ast.Name(id=name) if name != "TYPE_CHECKING":
            return lambda: setattr(node, "id", f"{name}_")
        case ast.Attribute(attr=name):
            return lambda: setattr(node, "attr", f"{name}_")
        case ast.arg(arg=name) | ast.keyword(arg=str() as name):
            return lambda: setattr(node, "arg", f"{name}_")
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return lambda: setattr(node, "name", f"{name}_")
        case ast.BinOp(op=op) | ast.UnaryOp(op=op) | ast.BoolOp(op=op) if type(op) in OTHER:
            return lambda: setattr(node, "op", OTHER[type(op)]())
        case ast.Compare(ops=[op, *rest]) if type(op) in OTHER:
            return lambda: setattr(node, "ops", [OTHER[type(op)](), *rest])
        case ast.AugAssign(op=op) if type(op) in OTHER:
            return lambda: setattr(node, "op", OTHER[type(op)]())
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            return lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), test))
        case ast.Call(args=[_, *rest]):
            return lambda: setattr(node, "args", rest)
        case ast.FormattedValue(conversion=conversion):
            other = ord("r") if conversion == -1 else -1
            return lambda: setattr(node, "conversion", other)
    return None


def is_message(node: ast.AST) -> bool:
    """Whether the strings below a node may be words for people."""
    names = ("UserError", "ValueError", "print", "say", "progress")
    return isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in names


def nodes(node: ast.AST, in_message: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """(a node, whether it is below a message), without docstrings and what is for types alone."""
    if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return
    yield node, in_message
    for child in ast.iter_child_nodes(node):
        yield from nodes(child, in_message or is_message(node))


def is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def mutated(tree: ast.Module, index: int) -> str:
    """The text of a module with its node of this number changed."""
    tree = copy.deepcopy(tree)
    change = mutation(list(nodes(tree))[index][0])
    assert change is not None
    change()
    return ast.unparse(ast.fix_missing_locations(tree))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(SCRIPTS).as_posix())
def test_a_change_to_what_is_computed_is_seen(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    before = digest.tree_hash(ast.unparse(tree))
    assert before == digest.tree_hash(file.read_text(encoding="utf-8"))
    seen = [
        index
        for index, (node, in_message) in enumerate(nodes(tree))
        if mutation(node) and not (in_message and is_string(node))
    ]
    for index in random.Random(file.name).sample(seen, min(PER_FILE, len(seen))):
        text = mutated(tree, index)
        assert digest.tree_hash(text) != before, ast.unparse(list(nodes(tree))[index][0])


def test_words_are_left_out_all_over_the_library():
    """In the whole of an argument of a message; a string below a call or an index counts."""
    changed = 0
    for file in FILES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        before = digest.tree_hash(ast.unparse(tree))
        for node in ast.walk(tree):
            if not is_message(node) or any(keyword.arg == "file" for keyword in node.keywords):
                continue
            for argument in node.args:
                parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
                for part in filter(is_string, parts):
                    part.value += " and other words"
                    changed += 1
        assert digest.tree_hash(ast.unparse(tree)) == before, file
    assert changed > 300


EVERYTHING = """
import math as m
from os import path as p

@decorated(1)
class A(B, metaclass=C):
    x: int = 2
    async def f(self, a, /, b=3, *args, c, d=4, **kw) -> int:
        async with g() as h, i:
            await j
        async for k in l:
            yield k
        return [q async for q in r if s if t]

def n(u: "v") -> None:
    global w
    nonlocal_ = {**x, "y": 1, "z": b"2"}
    while a < b <= c != d:
        if a and (b or not c):
            break
        elif ~a:
            continue
        else:
            pass
    for e, *f in g[1:2:3], h[...]:
        del i.j, k[0]
    else:
        assert l, "words"
    try:
        raise m from n
    except (o, p) as q:
        r += s ** t // u % v @ w << x >> y & z | a ^ b
    finally:
        return lambda e, *f: {g: h for g, h in i}, {j for j in k}, (l for l in m)
    match n:
        case {"a": 1, **rest} | [1, *_] | A(x=2) if o:
            p = (q := 3), 4.5, 6j, True, None, -7, f"{r!r:>{s}} t"
        case None | "u":
            yield from v
"""


def test_every_kind_of_syntax_is_seen():
    tree = ast.parse(EVERYTHING)
    before = digest.tree_hash(ast.unparse(tree))
    count = 0
    for index, (node, _) in enumerate(nodes(tree)):
        if mutation(node):
            count += 1
            assert digest.tree_hash(mutated(tree, index)) != before, ast.dump(node)
    assert count > 120
    # And each line, left out.
    lines = EVERYTHING.splitlines()
    for number, line in enumerate(lines):
        try:
            without = digest.tree_hash("\n".join(lines[:number] + lines[number + 1 :]))
        except SyntaxError:
            continue
        assert without != before or not line.strip(), line

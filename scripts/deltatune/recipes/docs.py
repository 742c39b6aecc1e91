"""docs/coming-from.md, written from the tables of fields.

`python -m deltatune.recipes.docs` in scripts/ rewrites it; a test fails when it is old.
"""

from __future__ import annotations

from pathlib import Path

from deltatune.core.paths import ROOT
from deltatune.recipes.fields import MEANINGS, Program
from deltatune.recipes.importing import PROGRAMS

PAGE = ROOT / "docs" / "coming-from.md"
INTRODUCTION = """# Coming from Axolotl or LLaMA-Factory

```
python scripts/import_recipe.py their.yaml                    # to look at
python scripts/import_recipe.py their.yaml --write mine.yaml  # to run
snakemake --cores all --configfile mine.yaml
```

A recipe of theirs becomes a config.yaml, checked by the same model as any other. Its comments name
each field of the recipe: the setting that it became, why it is not needed, or that it has no
counterpart, so that the run here differs. A field that the tables below do not have is listed as
unknown. Start it in the folder that you run snakemake in: relative paths start there.

- **Models and data sets of the hub are pinned**: the commit of each is asked for, and is to be
  written by hand where the hub cannot be reached.
- **Defaults are theirs** where a field is missing; each is listed.
- **A test set is split off**, and base and tuned are compared on it.
- **Rows are packed** where theirs are, and documents in a row do not see each other, as with their
  `sample_packing` or `neat_packing`.
- **Data sets of LLaMA-Factory** are names: its `dataset_info.json` is looked for in `dataset_dir`,
  here and in the folders above the recipe.
- **Several data sets** of one recipe are joined where they are files of the same columns; others
  of one kind are a mixture ([data.md](data.md#mixtures)), in the shares of the recipe. Where that
  takes all records of each, write their numbers as the shares; those of several kinds are refused.

Full fine-tuning, preferences and rewards (DPO, KTO, PPO, ...), images and sound are refused, as are
files with a key that stands twice, and with `${...}` in a value.

This page is generated: `cd scripts && python -m deltatune.recipes.docs`.
"""


def page() -> str:
    return "\n".join([INTRODUCTION, *map(_section, PROGRAMS)])


def write(path: Path = PAGE) -> None:
    path.write_text(page(), encoding="utf-8")


def _section(program: Program) -> str:
    reasons: dict[tuple[str, str], list[str]] = {}
    fields = [f for f in program.fields.values() if not f.name.startswith(_repeated(program))]
    for field in fields:
        reasons.setdefault((field.status, field.text), []).append(field.name)
    lines = [
        f"## {program.title}\n",
        f"{len(fields)} fields, of version {program.version} (commit "
        f"[{program.commit[:12]}](https://github.com/{program.repository}/tree/{program.commit}), "
        f"`{program.read_from}`).{_of_lists(program)}\n",
        "| theirs | here |",
        "|---|---|",
    ]
    for (status, text), names in reasons.items():
        here = f"`{text}`" if status == "ours" else f"{MEANINGS[status]}: {text}"
        lines.append(f"| {', '.join(f'`{name}`' for name in names)} | {here} |")
    lines += ["", "Where a value asks for something else than what is always so here:\n"]
    for name, (value, text) in program.contrary.items():
        lines.append(f"- `{name}: {_yaml(value)}`: {text}")
    return "\n".join(lines) + "\n"


def _repeated(program: Program) -> tuple[str, ...]:
    """Beginnings of the names in lists whose fields are those of the first list."""
    return tuple(f"{name}[]." for name in program.lists[1:])


def _of_lists(program: Program) -> str:
    if not program.lists:
        return ""
    one, *others = (f"`{name}`" for name in program.lists)
    return f" The fields in {one} are those in {' and '.join(others)} too."


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    write()

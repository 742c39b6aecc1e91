"""Translate a recipe of Axolotl or LLaMA-Factory into a config.yaml of this project.

    python scripts/import_recipe.py their.yaml                    # to look at
    python scripts/import_recipe.py their.yaml --write mine.yaml  # to run

Start it in the folder that snakemake is run in, where relative paths start. Comments in the file
say what became of each field. The hub is asked for the commits of models and data sets; with
HF_HUB_OFFLINE=1 it is not, and they are to be written by hand.
"""

import argparse
import sys
from pathlib import Path

from deltatune.core.errors import UserError
from deltatune.core.text import printable
from deltatune.recipes.importing import Imported, import_recipe
from deltatune.recipes.pins import commit_of


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="import_recipe.py",
        description="Translate a recipe of Axolotl or LLaMA-Factory into a config.yaml.",
        epilog="docs/coming-from.md has each of their fields, and what becomes of it.",
    )
    parser.add_argument("recipe", type=Path, help="a YAML file of theirs")
    parser.add_argument("--write", type=Path, metavar="FILE", help="default: printed")
    return parser.parse_args()


def write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"there is a {path} already; name another file") from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


def summary(imported: Imported) -> str:
    counts, translation = imported.counts, imported.translation
    settings = counts["kept"] + counts["answered"] + counts["unset"]
    to_do = f"{len(translation.to_do)} things" if translation.to_do else "Nothing"
    return (
        f"{len(translation.outcomes)} fields of {translation.program.title}: {settings} are "
        f"settings here, always so or not needed; {counts['lost']} without counterpart or other, "
        f"{counts['unknown']} unknown. {to_do} to see to before the run."
    )


def main() -> None:
    arguments = parse_arguments()
    try:
        imported = import_recipe(arguments.recipe, Path("."), commit_of)
        if arguments.write:
            write(arguments.write, imported.text)
            print(f"{arguments.write}: see the comments in it.", file=sys.stderr)
        else:
            print(imported.text, end="")
        print(summary(imported), file=sys.stderr)
    except UserError as error:
        print(f"\n{printable(str(error))}\n", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

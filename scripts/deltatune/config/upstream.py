"""Behavior of libraries that reading config.yaml works around, each with the version that it was
seen in. A test of tests/unit/test_config_upstream.py fails when one can go."""

from __future__ import annotations

import re

import yaml

# ---------------------------------------------------------------- pydantic

#: Sections whose members are of a type that `source`, or `kind`, chooses.
_TAGGED = ("datasets", "models", "tasks")
_MEMBER = re.compile(
    r"(list|literal|str|bool|dict|constrained|function)\b.*\[.*\]|(constrained-)?(str|bool|int|float)"
)


def file_path(loc: tuple) -> list[str]:
    """The `loc` of a pydantic error without the members of unions, which the file has no keys for.

    pydantic 2.14.3 has the tag of a discriminated union after the key whose value it is, and the
    type that was tried of any other: ("models", "m", "hub", "id"), ("targets", "list[str]", 0).
    Its documentation shows both: https://docs.pydantic.dev/latest/concepts/unions/.
    """
    return [
        str(part)
        for i, part in enumerate(loc)
        if not (i == 2 and loc[0] in _TAGGED and part != "[key]")
        and not _MEMBER.fullmatch(str(part))
    ]


# ---------------------------------------------------------------- PyYAML

#: libyaml's parser, some ten times as fast as PyYAML's own, where PyYAML was built with it.
FAST_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SMALL = 200_000
"""Characters that PyYAML's own parser takes about a second for."""


def strict_loader(text: str) -> type:
    """The loader that refuses all that Snakemake's refuses.

    Snakemake reads with PyYAML's own parser, which takes a little less than libyaml's (PyYAML
    6.0.3): no tab between a key and its value, no question mark in a plain text inside of [].
    It is too slow for a large file, which Snakemake then refuses by itself.
    """
    return yaml.SafeLoader if len(text) < _SMALL else FAST_LOADER


# ---------------------------------------------------------------- Snakemake

#: Top-level keys that Snakemake acts upon by itself (9.27.1: `load_configfile` has YTE render the
#: file, `Pathvars.from_config` takes the other), with what messages say of them.
SNAKEMAKE_KEYS = {
    "__use_yte__": "would make Snakemake run Python code that stands in this file; it is not used",
    "pathvars": "would move the results of the rules; it is not used",
}

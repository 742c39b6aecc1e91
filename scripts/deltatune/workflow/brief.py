"""Params that are long, and said in a few words in logs and in Snakemake's report."""

from __future__ import annotations


class Brief(dict):
    """A dict that is written as how many entries it has. Its repr, by which Snakemake compares
    params, and what a script gets are those of the dict."""

    def __str__(self) -> str:
        return f"({len(self)} entries: {', '.join(list(self)[:3])}, …)"

    def __reduce__(self) -> tuple[type, tuple[dict]]:
        return dict, (dict(self),)

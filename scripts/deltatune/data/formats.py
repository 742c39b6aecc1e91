"""The formats that records come in, by the suffix of their file."""

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
TEXT_SUFFIXES = (".txt", ".text")
"""A plain text, which has to be chunked."""

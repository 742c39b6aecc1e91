"""The version of the pipeline; pyproject.toml has the same, which a test holds."""

__version__ = "0.1.0"

"""Metrics of which label a model chooses (classify tasks): columns label and predicted."""

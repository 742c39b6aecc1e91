"""Metrics of what a model answers (instruct tasks): columns answer and reference."""

"""Metrics of how likely a text is to a model (prose tasks): columns nll, tokens, words, bytes."""

"""deltatune: tune open language models with QLoRA and show what the tuning changed."""

__version__ = "0.1.0"

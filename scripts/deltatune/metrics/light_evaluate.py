"""`evaluate`, imported without transformers and torch, which no metric here needs from it.

evaluate 0.4.6 imports transformers' pipelines for its Evaluator wherever they are installed: 5.8 s
of CPU time instead of 1.5 s in every job that computes or compares a metric. It runs without them
by its own account, so they are hidden while it is imported.
"""

from __future__ import annotations

import sys

if "evaluate" not in sys.modules and "transformers" not in sys.modules:
    sys.modules["transformers"] = None
    try:
        import evaluate
    finally:
        del sys.modules["transformers"]
else:
    import evaluate

__all__ = ["evaluate"]

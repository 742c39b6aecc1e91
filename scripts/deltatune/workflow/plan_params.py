"""What `snakemake plan` is made of."""

from __future__ import annotations

from typing import Any

from deltatune.core.paths import RESULTS, ROOT
from deltatune.workflow.selection import Wildcards
from deltatune.workflow.stage_params import StageParams


class PlanParams(StageParams):
    def print_plan(self, wildcards: Wildcards) -> dict[str, Any]:
        """What `snakemake plan` estimates. Results that are there already are read, but are no
        inputs, or they would be made for it: they are named as they lie below results/."""
        return {
            "experiments": [self._planned(name) for name in self._selection.experiments],
            "hardware": self._plain["hardware"],
            "statistics": {
                "confidence": self._plain["statistics"]["confidence"],
                "family": len(self._selection.pairs(own=True)),
            },
            "presets": str(ROOT / "presets"),
        }

    def _planned(self, name: str) -> dict[str, Any]:
        chosen = self._plain["experiments"][name]
        task, model = chosen["task"], chosen["model"]
        dataset = self._settings.tasks[task].dataset
        return {
            "experiment": name,
            "model": {"name": model, **self._plain["models"][model]},
            "task": {"task": task, **self._plain["tasks"][task]},
            "settings": {
                "split": self.split(task).model_dump(mode="json"),
                "tokens": self.tokens(task).model_dump(mode="json"),
            },
            "dataset": self._plain["datasets"][dataset],
            "text": self._selection.is_text(dataset),
            "path": self._paths.source(dataset) or None,
            "seeds": len(self._settings.seeds),
            "unit": self._selection.task_kind(task).UNIT,
            **{key: chosen[key] for key in ("quantization", "lora", "training")},
            "files": {
                "model": f"models/{model}/model",
                "tokens": f"tokens/{task}/{model}/train.json",
                "split": f"tasks/{task}/manifest.json",
                "train": f"tasks/{task}/train.parquet",
                "records": self._paths.records(task).removeprefix(f"{RESULTS}/"),
            },
        }

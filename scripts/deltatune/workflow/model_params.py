"""What the stages of bases and adapters depend on."""

from __future__ import annotations

from deltatune.config.model import HubModel
from deltatune.core.paths import RESULTS
from deltatune.fetch.model_settings import HubRepository, LocalFolder, ModelSettings
from deltatune.models.gptq_settings import QuantizeSettings
from deltatune.models.merge_settings import MergeSettings
from deltatune.models.pretrain_settings import PretrainSettings
from deltatune.train.settings import Base, TrainSettings
from deltatune.workflow.selection import Wildcards
from deltatune.workflow.stage_params import StageParams, source_of


class ModelParams(StageParams):
    def pretrain_model(self, wildcards: Wildcards) -> dict:
        chosen = self._settings.models[wildcards.model]
        corpus = {task: self._selection.kind(task) for task in chosen.corpus}
        settings = PretrainSettings.part_of(chosen, model=wildcards.model, corpus=corpus)
        return settings.model_dump(mode="json")

    def fetch_model(self, wildcards: Wildcards) -> dict:
        chosen = self._settings.models[wildcards.model]
        source = source_of(chosen, LocalFolder, HubRepository)
        return ModelSettings(model=wildcards.model, source=source).model_dump(mode="json")

    def quantize_model(self, wildcards: Wildcards) -> dict:
        chosen = self._settings.models[wildcards.model].gptq
        settings = QuantizeSettings.part_of(chosen, model=wildcards.model)
        return settings.model_dump(mode="json")

    def train_adapter(self, wildcards: Wildcards) -> dict:
        return self.training(wildcards.experiment, wildcards.seed)

    def training(self, experiment: str, seed: str) -> dict:
        chosen = self._selection.experiment(experiment)
        settings = TrainSettings(
            model=chosen.model,
            quantization=chosen.quantization,
            lora=chosen.lora,
            training=chosen.training,
            seed=int(seed),
            base=self.base_name(chosen.model),
        )
        return settings.model_dump(mode="json")

    def base_name(self, model: str) -> Base:
        """What an adapter calls its base."""
        chosen = self._settings.models[model]
        if isinstance(chosen, HubModel):
            return Base(name=chosen.id, revision=chosen.revision)
        return Base(name=f"{RESULTS}/models/{model}/model", revision=None)

    def merge_adapter(self, wildcards: Wildcards) -> dict:
        chosen = self._selection.experiment(wildcards.experiment)
        tokens = self.tokens(chosen.task)
        model = MergeSettings[type(tokens.prompts)]
        settings = model.part_of(tokens, quantization=chosen.quantization)
        return settings.model_dump(mode="json")

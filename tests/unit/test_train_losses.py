"""Training with weights of classes. The loss without weights is in test_train_train.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import test_train_train
import tiny
import torch
from datasets import Dataset
from deltatune.evaluate.label_likelihood import score_completions
from deltatune.tokens import weights
from deltatune.tokens.encode import encode, pack
from deltatune.tokens.prompts import Document
from deltatune.tokens.shards import COLUMNS, WEIGHTS
from deltatune.train import train as training
from deltatune.train.losses import token_loss
from sklearn.metrics import f1_score
from test_train_train import settings

NAMES = ["often", "rare"]
LENGTH = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.saved(tmp_path_factory.mktemp("base") / "model")


def records(count: int, draw: np.random.Generator) -> tuple[list[str], list[str]]:
    """Texts and labels, one in ten of them rare. A word points to the class in four of five."""
    words = sorted(set(" ".join(tiny.TEXTS).split()))
    is_rare, is_right = draw.random(count) < 0.1, draw.random(count) < 0.8
    hints = [words[0] if one else words[1] for one in is_rare == is_right]
    texts = [f"{hint} {draw.choice(words)}:" for hint in hints]
    return texts, [NAMES[int(one)] for one in is_rare]


def packed(texts: list[str], labels: list[str], of_classes: dict | None) -> Dataset:
    documents = [Document(text, f" {label}") for text, label in zip(texts, labels, strict=True)]
    encoded = encode(documents, tiny.tokenizer(), LENGTH, "truncate")
    columns, names = pack(encoded, LENGTH), list(COLUMNS)
    if of_classes:
        columns = replace(columns, weights=weights.of_pieces(encoded, labels, of_classes))
        names.append(WEIGHTS)
    return Dataset.from_dict({name: list(columns[name]) for name in names})


def train(folder, rows, output, **changes):
    changes = {"epochs": 1, "learning_rate": 1e-2, "batch_size": 4, "evaluations": 2, **changes}
    lora = {"rank": 8, "alpha": 16, "dropout": 0.0}
    machine, model = test_train_train.base(folder, "none")
    result = training.train(
        *(model, *rows, settings(changes, lora=lora, quantization="none"), machine),
        output=output,
        scratch=output.with_name("scratch"),
        progress=lambda text: None,
    )
    return model, result.losses


def test_each_token_of_a_token_loss_counts_by_its_weight():
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 7)
    labels = torch.tensor([[1, -100, 3, 4, -100], [-100, 2, 2, -100, 6]])
    by_token = torch.rand(2, 5)
    expected = sum(
        -by_token[row, place] * logits[row, place - 1].log_softmax(0)[labels[row, place]]
        for row, place in ((0, 2), (0, 3), (1, 1), (1, 2), (1, 4))
    )
    loss = token_loss(logits, labels, by_token, tokens=8)
    assert loss.item() == pytest.approx((expected / 8).item(), rel=1e-5)
    assert token_loss(logits, torch.full((2, 5), -100), by_token, 8).item() == 0


def test_weights_of_1_change_nothing_and_a_step_is_the_same_however_it_is_accumulated(
    folder, tmp_path
):
    texts, labels = records(60, np.random.default_rng(1))
    test = packed(*records(20, np.random.default_rng(2)), None)
    plain, ones, unequal = (
        packed(texts, labels, of_classes)
        for of_classes in (None, dict.fromkeys(NAMES, 1.0), {"often": 0.5, "rare": 5.0})
    )
    split = {"batch_size": 2, "gradient_accumulation": 2}
    runs = [
        train(folder, (rows, test), tmp_path / f"{number}" / "adapter", **changes)[1]["loss"]
        for number, (rows, changes) in enumerate(
            [(plain, {}), (ones, {}), (unequal, {}), (unequal, split)]
        )
    ]
    np.testing.assert_allclose(runs[0], runs[1], atol=1e-4)
    np.testing.assert_allclose(runs[2], runs[3], atol=1e-3)
    assert abs(runs[0] - runs[2]).max() > 0.01
    # Losses are measured without weights.
    np.testing.assert_allclose(runs[0][:2], runs[2][:2], atol=1e-6)


def test_balanced_weights_bring_out_a_rare_class(folder, tmp_path):
    draw = np.random.default_rng(0)
    texts, labels = records(300, draw)
    asked, expected = records(200, draw)
    scores = []
    for number, chosen in enumerate((None, "balanced")):
        of_classes = weights.of_classes(labels, NAMES, chosen, "") if chosen else None
        rows = packed(texts, labels, of_classes), packed(asked, expected, None)
        model, _ = train(folder, rows, tmp_path / str(number) / "adapter", epochs=8)
        scored = score_completions(
            *(model.eval(), tiny.tokenizer(), asked, [f" {name}" for name in NAMES]),
            max_length=LENGTH,
            batch_size=32,
            progress=lambda text: None,
        )
        predicted = np.array(NAMES)[scored.ended.argmax(1)]
        scores.append(f1_score(expected, predicted, average=None, labels=NAMES))
    without, balanced = scores
    assert without[1] < 0.1 and balanced[1] > 0.3
    assert balanced.mean() > without.mean() + 0.1

"""Weights of classes: their figures, and the tokens that they stand beside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny
from deltatune.core.errors import UserError
from deltatune.tokens import pieces, weights
from deltatune.tokens.encode import encode, pack
from deltatune.tokens.prompts import Document
from deltatune.tokens.shards import WEIGHTS, Collator, read_shards
from deltatune.tokens.writer import write_shards
from sklearn.utils.class_weight import compute_class_weight

LABELS = ["ham"] * 17 + ["spam"] * 3 + ["news"] * 7
NAMES = ["spam", "ham", "news"]


def test_balanced_weights_are_those_of_scikit_learn():
    expected = compute_class_weight("balanced", classes=np.array(NAMES), y=np.array(LABELS))
    chosen = weights.of_classes(LABELS, NAMES, "balanced", "")
    assert list(chosen) == NAMES
    np.testing.assert_allclose([*chosen.values()], expected, rtol=1e-12)
    # Each class has the same total of weights, and the mean over the records is 1.
    totals = [LABELS.count(name) * weight for name, weight in chosen.items()]
    np.testing.assert_allclose(totals, len(LABELS) / 3)


def test_a_class_without_a_training_record_has_no_weight():
    chosen = weights.of_classes(LABELS, [*NAMES, "none"], "balanced", "")
    assert chosen == weights.of_classes(LABELS, NAMES, "balanced", "")


def test_chosen_weights_are_relative_with_a_mean_of_1_over_the_records():
    chosen = weights.of_classes(LABELS, NAMES, {"spam": 10}, "")
    assert chosen["spam"] == pytest.approx(10 * chosen["ham"])
    assert chosen["news"] == chosen["ham"]
    assert np.mean([chosen[label] for label in LABELS]) == pytest.approx(1)
    assert chosen == weights.of_classes(LABELS, NAMES, {n: 2 * v for n, v in chosen.items()}, "")


def test_a_class_that_there_is_not_is_named():
    with pytest.raises(UserError, match=r"^tasks\.t\.class_weights: no class is called 'span' \("):
        weights.of_classes(LABELS, NAMES, {"span": 2.0}, "tasks.t.class_weights")


def test_each_token_has_the_weight_of_its_record(tmp_path):
    """Through packing and the disk; documents that are dropped or cut are no other's weight."""
    texts = [" ".join(tiny.TEXTS[n % len(tiny.TEXTS)].split()[: 1 + n % 5]) for n in range(20)]
    labels = [NAMES[n % 3] for n in range(20)]
    documents = [
        Document(f"{text}:", f" {label}") for text, label in zip(texts, labels, strict=True)
    ]
    documents[4] = Document("", "")
    encoded = encode(documents, tiny.tokenizer(), 24, "shorten_prompt")
    columns = pack(encoded, 24)
    assert 4 not in encoded.sources and len(columns["input_ids"]) < len(encoded.sources)
    of_classes = {"spam": 2.5, "ham": 0.25, "news": 1.0}
    columns = replace(columns, weights=weights.of_pieces(encoded, labels, of_classes))
    by_token = columns[WEIGHTS].copy()
    for piece in pieces.table(encoded, columns, range(20)).to_dict("records"):
        place = slice(piece["start"], piece["start"] + piece["tokens"])
        assert set(by_token[piece["row"], place]) == {of_classes[labels[piece["record"]]]}
        by_token[piece["row"], place] = 0
    assert not by_token.any()
    write_shards(columns, tmp_path / "rows", shard_rows=2)
    batch = Collator()(read_shards(tmp_path / "rows").to_list())
    assert list(batch) == ["input_ids", "labels", "position_ids", WEIGHTS]
    np.testing.assert_array_equal(batch[WEIGHTS].numpy(), columns[WEIGHTS])

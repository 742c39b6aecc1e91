import pytest
import tiny
from deltatune.core.errors import UserError
from deltatune.tokens.answer_ids import answer_ids
from deltatune.tokens.ids import continuation_ids
from deltatune.tokens.labels import check_distinct, label_ids, nested
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast


def lowercasing():
    """Words in lower case and one token for all others, as without byte fallback."""
    words = ["<unk>", "<s>", "</s>", "bug", "report", "\n"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        add_bos_token=True,
    )


def test_the_end_is_a_token_of_its_own_whatever_the_label_is():
    tokenizer = tiny.tokenizer()
    completions = [" bug", " bug report", " </s>", " bug</s>"]
    plain = continuation_ids(completions, tokenizer)
    assert label_ids(completions, tokenizer) == [[*ids, tokenizer.eos_token_id] for ids in plain]
    # As in training, behind whatever prompt.
    assert label_ids(completions, tokenizer) == answer_ids(["text"] * 4, completions, tokenizer)
    # A label that spells the end is ordinary text.
    assert all(tokenizer.eos_token_id not in ids for ids in plain)


def test_labels_that_begin_with_another_one():
    assert nested([[5, 2], [5, 6, 2], [6, 2], [5, 6, 7, 2], [7, 6, 2]]) == [
        False,
        True,
        False,
        True,
        False,
    ]
    # A mere common beginning is none.
    assert nested([[5, 6, 2], [5, 7, 2]]) == [False, False]


@pytest.mark.parametrize(
    ("names", "named"),
    [
        (
            ["report", "bug", "Bug"],
            "tasks.issues.labels: 'bug' and 'Bug' are the same tokens (bug)",
        ),
        (["bug", "正", "負"], "tasks.issues.labels: '正' and '負' are the same tokens (<unk>)"),
    ],
)
def test_labels_of_the_same_tokens_are_refused(names, named):
    completions = [f" {name}" for name in names]
    with pytest.raises(UserError) as caught:
        check_distinct(names, completions, lowercasing(), "tasks.issues.labels")
    assert named in str(caught.value) and "by a mapping" in str(caught.value)


def test_labels_that_differ_in_their_tokens_are_accepted():
    names = ["bug", "Bug", "bug report", "正", "負"]
    check_distinct(names, [f" {name}" for name in names], tiny.tokenizer(), "labels")

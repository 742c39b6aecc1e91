"""Reasons: codes with details, and the prose that is made of them."""

import pytest
from deltatune.data.reasons import COLUMNS, Code, Reason


@pytest.mark.parametrize(
    ("reason", "prose"),
    [
        (Reason(Code.NOT_UTF8, "text"), "not UTF-8"),
        (Reason(Code.WRONG_TYPE, "text", value="list"), "wrong type (list)"),
        (Reason(Code.UNKNOWN_LABEL, "label", value="{x}"), "unknown label '{x}'"),
        (
            Reason(Code.UNKNOWN_LABEL, "label", value="Wrld", nearest="World"),
            "unknown label 'Wrld' (did you mean 'World'?)",
        ),
        (Reason(Code.DUPLICATE, "text", row=3), "duplicate of row 3"),
        (Reason(Code.CONFLICTING_LABEL, "label", row=3), "conflicting label with row 3"),
        (
            Reason(Code.NEAR_DUPLICATE, "text", split="training", row=3),
            "near duplicate of training row 3",
        ),
    ],
)
def test_prose_is_made_of_the_code_and_its_details(reason, prose):
    assert str(reason) == prose
    assert prose.startswith(reason.code.label)


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_label_and_stands_in_files_by_its_value(code):
    assert code.label and Code(str(code)) is code
    line = dict(zip(COLUMNS, Reason(code, "text").line(7, "a\nb"), strict=True))
    assert (line["row"], line["field"], line["excerpt"]) == (7, "text", "a b")
    assert type(line["code"]) is str and line["code"] == code

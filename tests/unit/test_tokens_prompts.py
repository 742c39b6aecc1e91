import math

import pytest
from deltatune.core.errors import UserError
from deltatune.tokens.prompts import (
    TEMPLATES,
    Document,
    instruction_template,
    label_template,
    render,
    render_labels,
)


def own(with_input="{instruction}|{input}", without_input="{instruction}"):
    return {"with_input": with_input, "without_input": without_input}


def test_alpaca_is_the_published_format():
    assert render("alpaca", {"instruction": "Add.", "input": "1 2"}) == (
        "Below is an instruction that describes a task, paired with an input that provides further "
        "context. Write a response that appropriately completes the request.\n\n### Instruction:\n"
        "Add.\n\n### Input:\n1 2\n\n### Response:\n"
    )
    assert render("alpaca", {"instruction": "Sing."}) == (
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\nSing.\n\n### Response:\n"
    )


def test_the_short_format_is_alpaca_without_its_preamble():
    for record in ({"instruction": "Add.", "input": "1 2"}, {"instruction": "Sing."}):
        short = render("alpaca_short", record)
        assert short.startswith("### Instruction:\n")
        assert render("alpaca", record).endswith(f"\n\n{short}")


@pytest.mark.parametrize("blank", [None, "", " \n", math.nan])
def test_a_blank_input_is_no_input(blank):
    assert render("alpaca", {"instruction": "Sing.", "input": blank}) == render(
        "alpaca", {"instruction": "Sing."}
    )


def test_braces_in_a_record_are_left_alone():
    nasty = "{input} {0} {{x}} {instruction.__class__} }{ %s"
    assert render(own(), {"instruction": nasty, "input": nasty}) == f"{nasty}|{nasty}"
    assert render_labels("{text}:", nasty, ["{text}"]) == (f"{nasty}:", (0, len(nasty)))


def test_doubled_braces_are_braces():
    assert render(own("{{{instruction}}} {{}} {input}."), {"instruction": "a", "input": "b"}) == (
        "{a} {} b."
    )


def test_labels_are_listed_in_their_order():
    template, prompt = (
        "One of {labels}.\n{text}\nCategory:",
        "One of Sports, World.\nRain.\nCategory:",
    )
    assert render_labels(template, "Rain.", ["Sports", "World"]) == (prompt, (22, 27))
    assert prompt[22:27] == "Rain."
    assert render_labels("{text}\nCategory:", "Rain.", ["Sports"])[0] == "Rain.\nCategory:"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{text} {labls}:", "unknown field {labls}"),
        ("{text} {}:", "unknown field {}"),
        ("{text} {0}:", "unknown field {0}"),
        ("{text.upper}:", "unknown field {text.upper}"),
        ("{text[0]}:", "unknown field {text[0]}"),
        ("{text:>9}:", "has a format specifier"),
        ("{text!r}:", "has a format specifier"),
        ("{text:{labels}}:", "has a format specifier"),
        ("{text:>9} {text}:", "has a format specifier"),
        ("{text", "cannot be read"),
        ("text}", "cannot be read"),
        ("Category:", "does not use {text}"),
        ("{text}\nCategory: ", "ends in a space"),
        (7, "is text, not 7"),
    ],
)
def test_a_bad_template_is_refused_with_its_key(template, message):
    with pytest.raises(UserError, match=r"^tasks\.news\.prompt: ") as error:
        label_template(template, "tasks.news.prompt")
    assert message in str(error.value)


def test_an_instruction_template_names_its_variant():
    with pytest.raises(UserError, match=r"^tasks\.qa\.prompt\.without_input: unknown .*\{input\}"):
        instruction_template(own(without_input="{instruction} {input}"), "tasks.qa.prompt")
    with pytest.raises(UserError, match=r"^tasks\.qa\.prompt\.with_input: .*not use \{input\}"):
        instruction_template(own(with_input="{instruction}"), "tasks.qa.prompt")


@pytest.mark.parametrize(
    "template", [{}, {"with_input": "{instruction}{input}"}, own() | {"x": ""}]
)
def test_both_variants_are_needed_and_no_other(template):
    with pytest.raises(UserError, match=r"with_input and without_input"):
        render(template, {"instruction": "a"})


def test_an_unknown_name_shows_the_known_ones():
    with pytest.raises(UserError, match=r"'alpacca'.*alpaca, alpaca_short"):
        render("alpacca", {"instruction": "a"})


@pytest.mark.parametrize("record", [{}, {"instruction": " "}, {"instruction": None, "input": "x"}])
def test_a_record_without_an_instruction_is_refused(record):
    with pytest.raises(UserError, match="no text in 'instruction'"):
        render("alpaca", record)


def test_shipped_templates_pass_their_own_check():
    for template in TEMPLATES.values():
        assert instruction_template(dict(template)) == template


def test_documents_are_values():
    assert Document("a", " b") == Document(prompt="a", completion=" b")

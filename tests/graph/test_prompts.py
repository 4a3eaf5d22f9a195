"""Templates as data, and the rule that reads written answers."""

import pytest

from burnish.base.errors import InputError, SettingError
from burnish.graph import prompts
from burnish.graph.prompts import CLASSIFY, TEMPLATES, Template, cut, open_template, parse_answer

CLASSES = ["Baby", "Baby Products", "Toys"]
ANSWERS = [
    ("Baby Products", 1),
    (" baby products.\nmore", 1),
    ("Baby", 0),
    ("It is Baby Products, I think.", 1),
    ("I think the answer is Baby Products, not Toys.", None),  # two classes: no verdict
    ("Babysitting", None),
    ("", None),
    ("\n\nToys", 2),
]


def check_answers():
    for text, wanted in ANSWERS:
        assert prompts.parse_answer(text, CLASSES) == wanted, text


def test_written_answers():
    check_answers()
    assert parse_answer("baby", ["Baby", "baby"]) == 1  # case decides where it must


def test_planted_containment(monkeypatch):
    """As the released code judges: the class is contained in the text."""

    def contained(text, classes):
        return next((i for i, name in enumerate(classes) if name in text), None)

    monkeypatch.setattr(prompts, "parse_answer", contained)
    with pytest.raises(AssertionError):
        check_answers()


def test_a_prompt_word_by_word():
    examples = [({"text": "a {answer}\n cat"}, "animal")]
    found = CLASSIFY.prompt({"text": "iron"}, examples, ["animal", "metal"])
    assert found == (
        "The category of a text is one of: animal, metal.\n\n"
        "Text: a {answer} cat\nCategory: animal\n\nText: iron\nCategory:"
    )
    many = CLASSIFY.prompt({"text": "x"}, [], [str(i) for i in range(65)])
    assert many.startswith("Each text has a category.")


def test_texts_are_cut_between_words():
    assert cut("alpha beta gamma", 11) == "alpha beta" and cut("abcdef", 3) == "abc"
    assert cut("alpha beta", 5) == "alpha"
    short = Template(header="", example="{text}", query="{text}", query_chars=5, example_chars=3)
    assert short.prompt({"text": "alpha beta"}, [({"text": "xyz w"}, "")]) == "xyzalpha"


def test_templates_from_a_file(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text('query: "Q {text} A"\nend: ""\n')
    found = open_template(str(file), "classify")
    assert found.query == "Q {text} A" and found.example == CLASSIFY.example
    file.write_text('query: "nothing"\n')
    with pytest.raises(InputError, match=r"must contain \{text\}"):
        open_template(str(file), "classify")
    with pytest.raises(SettingError):
        open_template("", "links2")
    assert open_template("", "links") is TEMPLATES["links"]
    with pytest.raises(SettingError):
        Template(header="", example="", query="", query_chars=0)

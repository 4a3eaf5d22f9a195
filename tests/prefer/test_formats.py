"""Rows of several projects, and rows that nobody can use."""

from collections.abc import Callable
from typing import Any

import pytest

from burnish.prefer.formats import Conversation, RowError, UndecidedError, read_row

GOOD, BAD = "Blue.", "I do not know."
WANTED = Conversation(system=None, turns=(), question="Which colour?", chosen=GOOD, rejected=BAD)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def says(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


ASKED = [user("Which colour?")]
VOTES = {"annotator1": 2, "annotator2": 1, "annotator3": 2}
SAME: list[dict[str, Any]] = [
    {"prompt": "Which colour?", "chosen": GOOD, "rejected": BAD},
    {"prompt": ASKED, "chosen": [says(GOOD)], "rejected": [says(BAD)], "score": 1},
    {"prompt": ASKED, "chosen": GOOD, "rejected": [says(BAD)]},
    {"chosen": [*ASKED, says(GOOD)], "rejected": [*ASKED, says(BAD)]},
    {
        "conversations": [{"from": "human", "value": "Which colour?"}],
        "chosen": {"from": "gpt", "value": GOOD},
        "rejected": {"from": "gpt", "value": BAD},
    },
    {"prompt": "Which colour?", "chosen": [*ASKED, says(GOOD)], "rejected": [*ASKED, says(BAD)],
     "score_chosen": 8.0, "score_rejected": 3.0},
    {"prompt": ASKED, "chosen": [*ASKED, says(GOOD)], "rejected": [*ASKED, says(BAD)]},
    {"prompt": [{"role": "user", "content": [{"type": "text", "text": "Which "},
     {"type": "text", "text": "colour?"}]}], "chosen": [says(GOOD)], "rejected": [says(BAD)]},
    {"chosen": f"\n\nHuman: Which colour?\n\nAssistant: {GOOD}",
     "rejected": f"\n\nHuman: Which colour?\n\nAssistant: {BAD}"},
    {"prompt": "\n\nHuman: Which colour?\n\nAssistant:", "chosen": f" {GOOD}".strip(),
     "rejected": BAD},
    {"instruction": "Which colour?", "input": "", "chosen": GOOD, "rejected": BAD},
    {"instruction": "Which colour?", "input": None, "output": [GOOD, BAD], "history": []},
    {"question": "Which colour?", "chosen": GOOD, "rejected": BAD, "system": ""},
    {"input": "Which colour?", "chosen": GOOD, "rejected": BAD, "prompt": None},
    {"instruction": "Which colour?", "input": "", "response1": BAD, "response2": GOOD, **VOTES},
]  # fmt: skip


def check_formats(read: Callable[[Any, int], Conversation]) -> None:
    assert [read(row, i) for i, row in enumerate(SAME)] == [WANTED] * len(SAME)


def test_formats_give_one_conversation() -> None:
    check_formats(read_row)


def test_planted_votes_counted_for_the_other_side() -> None:
    def turned(row: Any, number: int) -> Conversation:
        votes = {f"annotator{i}": 3 - row[f"annotator{i}"] for i in (1, 2, 3) if "response1" in row}
        return read_row({**row, **votes}, number)

    with pytest.raises(AssertionError):
        check_formats(turned)


def test_earlier_turns_and_a_system_message() -> None:
    opening = [{"role": "system", "content": "Be brief."}, user("Hi"), says("Hello"), *ASKED]
    for row in (
        {"prompt": opening, "chosen": GOOD, "rejected": BAD},
        {"chosen": [*opening, says(GOOD)], "rejected": [*opening, says(BAD)]},
    ):
        found = read_row(row, 1)
        assert (found.system, found.turns) == ("Be brief.", (("Hi", "Hello"),))
        assert (found.question, found.chosen, found.rejected) == ("Which colour?", GOOD, BAD)


BRIEF = {"system": "Be brief."}


@pytest.mark.parametrize(
    "row",
    [
        BRIEF | {"input": "Which colour?", "chosen": GOOD, "rejected": BAD},
        BRIEF | {"question": "Which colour?", "chosen": GOOD, "rejected": BAD},
        {"system_prompt": "Be brief.", "system": ""} | SAME[0],
        BRIEF | {"system_prompt": "Be long."} | SAME[0],
        BRIEF | SAME[4],
        BRIEF | {"chosen": [*ASKED, says(GOOD)], "rejected": [*ASKED, says(BAD)]},
        BRIEF | {"prompt": [{"role": "system", "content": "Be brief."}, *ASKED], "chosen": GOOD,
                 "rejected": BAD},
        {"prompt": ASKED, "chosen": [{"role": "system", "content": "Be brief."}, *ASKED,
         says(GOOD)], "rejected": [{"role": "system", "content": "Be brief."}, *ASKED, says(BAD)]},
    ],
)  # fmt: skip
def test_the_system_text_is_in_the_prompt(row: dict[str, Any]) -> None:
    found = read_row(row, 1)
    assert (found.system, found.question, found.turns) == ("Be brief.", "Which colour?", ())
    assert (found.chosen, found.rejected) == (GOOD, BAD)


def test_transcripts_and_histories_have_turns() -> None:
    talk = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Which colour?\n\nAssistant: "
    past = {"instruction": "Which colour?", "history": [["Hi", "Hello"]], "output": [GOOD, BAD]}
    for row in ({"chosen": talk + GOOD, "rejected": talk + BAD}, past):
        found = read_row(row, 1)
        assert (found.turns, found.question) == ((("Hi", "Hello"),), "Which colour?")
        assert (found.chosen, found.rejected) == (GOOD, BAD)


def test_answers_to_another_question_are_refused() -> None:
    other = [user("Which day?")]
    row = {"prompt": ASKED, "chosen": [*other, says(GOOD)], "rejected": [*other, says(BAD)]}
    with pytest.raises(RowError, match="answers to the question of its prompt"):
        read_row(row, 1)


def test_unknown_columns_are_told_with_those_that_are_known() -> None:
    with pytest.raises(RowError, match=r"'chosen' and .*question.*'lose', 'query', 'win'"):
        read_row({"query": "a", "win": "b", "lose": "c"}, 1)


def test_the_input_of_an_instruction_follows_it() -> None:
    row = {"instruction": "Shorten.", "input": "A long text.", "response1": "A", "response2": "B"}
    assert read_row(row | VOTES, 1).question == "Shorten.\n\nA long text."


@pytest.mark.parametrize("votes", [(0, 0, 1), (0, 1, 2), (0, 0, 0)])
def test_no_majority_is_no_fault(votes: tuple[int, ...]) -> None:
    row = SAME[-1] | {f"annotator{i}": vote for i, vote in enumerate(votes, start=1)}
    with pytest.raises(UndecidedError, match="row 7 has no preferred answer"):
        read_row(row, 7)


@pytest.mark.parametrize(
    ("changed", "says_what"),
    [
        ({"chosen": None}, "must have text or messages as 'chosen', got None"),
        ({"chosen": float("nan")}, "must have text or messages as 'chosen', got nan"),
        ({"chosen": True}, "must have text or messages as 'chosen', got True"),
        ({"chosen": []}, "must have text or messages as 'chosen'"),
        ({"chosen": ["Blue."]}, "must have messages as 'chosen'"),
        ({"chosen": "  "}, "must not have an empty 'chosen'"),
        ({"rejected": ""}, "must not have an empty 'rejected'"),
        ({"rejected": GOOD}, "must have two different answers"),
        ({"prompt": " "}, "must not have an empty 'prompt'"),
        ({"prompt": 5}, "must have text or messages as 'prompt', got 5"),
        ({"prompt": [says("Hi")]}, "prompt that alternates and ends with the user"),
        ({"prompt": [*ASKED, *ASKED]}, "prompt that alternates and ends with the user"),
        ({"prompt": [{"role": "critic", "content": "x"}]}, "messages of a known role"),
        ({"prompt": [{"role": "user"}]}, "messages of a known role with a text"),
        ({"chosen": [*ASKED, says(GOOD)]}, "one message of the assistant as 'chosen'"),
    ],
)
def test_rows_that_cannot_be_used(changed: dict[str, Any], says_what: str) -> None:
    with pytest.raises(RowError, match=f"row 3 .*{says_what}"):
        read_row(SAME[0] | changed, 3)


@pytest.mark.parametrize("missing", ["prompt", "chosen", "rejected"])
def test_a_missing_column_is_told(missing: str) -> None:
    row = {name: value for name, value in SAME[0].items() if name != missing}
    with pytest.raises(RowError, match="must have the columns 'chosen' and 'rejected'"):
        read_row(row, 1)


@pytest.mark.parametrize("role", ["system", "user"])
def test_conversations_that_begin_differently_say_so(role):
    def side(first, answer):
        messages = [{"role": "user", "content": "Name a metal."}]
        begin = [{"role": role, "content": first}] if role == "system" else []
        messages = begin + messages if begin else [{"role": "user", "content": first}]
        return [*messages, {"role": "assistant", "content": answer}]

    row = {"chosen": side("one", "Iron."), "rejected": side("two", "Wood.")}
    with pytest.raises(RowError, match=r"answers to one question, after one system.*'two'"):
        read_row(row, 1)
